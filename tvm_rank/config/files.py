"""Files that a feature names: read whole, from inside of `base_dir` only."""

from __future__ import annotations

from pathlib import Path

from tvm_rank.config.reader import Section


def read_file(section: Section, key: str, base_dir: Path, *, limit: int | None = None) -> bytes | None:
    """The contents of the file that `key` names, relative to `base_dir` and not outside of it; None when it cannot be read (noted).

    limit: the bytes that a file may have.
    """
    name = section.get(key)
    try:
        base = base_dir.resolve()
        path = (base / name).resolve()
        if not path.is_relative_to(base):
            section.problem(key, f"{name} leads out of {base}; put the file inside, or pass another base_dir")
            return None
        if limit is not None and (size := path.stat().st_size) > limit:
            section.problem(key, f"{name} has {size} bytes; at most {limit} are read")
            return None
        return path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a NUL in the name; RuntimeError: a loop of links
        reason = getattr(error, "strerror", None) or str(error)
        section.problem(key, f"cannot read {name} in {base_dir}: {reason}")
    return None
