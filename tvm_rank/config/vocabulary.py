"""Vocabulary files: a word per line, or a word and its id per line."""

from __future__ import annotations

from pathlib import Path

from tvm_rank.config.files import read_file
from tvm_rank.config.reader import INT64_MAX, Section


def read_vocab_file(section: Section, base_dir: Path) -> dict[str, int]:
    """The words of the file that `vocab_file` names, relative to `base_dir` and not outside of it; {} when it is wrong.

    Lines are UTF-8, ended by a line feed (a carriage return before it is dropped). Either all of them are `word`, and the id is the
    line number from 0, or all are `word id` with a blank or a tab between; the first line decides. Empty lines hold no word but
    count. A repeated word has its last id.
    """
    name = section.required_text("vocab_file", "name the file with the words")
    if not name:
        return {}
    text = _read(section, name, base_dir)
    if text is None:
        return {}
    entries: dict[str, int] = {}
    with_ids: bool | None = None
    for number, line in enumerate(text.split("\n")):
        parts = line.removesuffix("\r").replace("\t", " ").split(" ")
        if parts == [""]:
            continue
        with_ids = len(parts) > 1 if with_ids is None else with_ids
        problem = _line_problem(parts, with_ids)
        if problem:
            section.problem("vocab_file", f"{name}:{number + 1}: {problem}")
            return {}
        entries[parts[0]] = int(parts[1]) if with_ids else number
    if not entries:
        section.problem("vocab_file", f"{name} holds no word; write one per line")
    return entries


def _line_problem(parts: list[str], with_ids: bool) -> str:
    if len(parts) != 1 + with_ids:
        wanted = "a word and its id" if with_ids else "a word without blanks"
        return f"wanted {wanted} as on the first line, got {' '.join(parts)!r}"
    if with_ids and not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) <= 19 and int(parts[1]) < INT64_MAX):
        return f"wanted an integer of at least 0 as id, got {parts[1]!r}"
    return ""


def _read(section: Section, name: str, base_dir: Path) -> str | None:
    contents = read_file(section, "vocab_file", base_dir)
    try:
        return None if contents is None else contents.decode()
    except UnicodeDecodeError as error:
        section.problem("vocab_file", f"{name} is not UTF-8 at byte {error.start}; save it as UTF-8")
    return None
