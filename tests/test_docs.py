"""The documents run: every python, bash and console block of README.md and docs/*.md, in the order in which they stand.

The blocks of one file share a process and a folder, which holds the files of a model of the zoo at the start: fg.json, model.onnx,
tables.safetensors, user.arrow, items.arrow. It is `deepfm`, which has features of all forms, or, where a document compiles often and no
feature by name, `dcn`, which takes a fifth of the time. A shell line is `tvm-rank ...`, or one of the set-up commands that are not run here.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import pytest

from tvm_rank import zoo

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SET_UP = ("./scripts/demo", "./scripts/test", "./scripts/setup_env", "git clone", "cd ", "pip install", "source .venv/bin/activate")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)

LIGHT = (
    "README.md",
    "docs/artifact.md",
    "docs/item_store.md",
    "docs/precision.md",
    "docs/tables.md",
    "docs/transform.md",
    "docs/tuning.md",
)

QUICK = "import tvm_rank.target; tvm_rank.target.OPT_LEVEL = 0"  # LLVM does not optimize what documents compile, as in tests/conftest.py
DRIVER = f"""
{QUICK}
import json, linecache, subprocess, sys
names = {{"__name__": "__main__"}}
for block in json.load(sys.stdin):
    if block["language"] == "python":
        source = "\\n" * (block["line"] - 1) + block["text"]
        linecache.cache[block["file"]] = len(source), None, source.splitlines(True), block["file"]  # for inspect.getsource
        exec(compile(source, block["file"], "exec"), names)
    else:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block["text"]], capture_output=True, text=True)
        if done.returncode:
            place = f"{{block['file']}}:{{block['line']}}"
            sys.exit(f"{{place}}: status {{done.returncode}} of\\n{{block['text']}}\\n{{done.stdout}}\\n{{done.stderr}}")
"""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Code between fences: its language (python or bash), where it starts, and what is to be run of it."""

    language: str
    file: str
    line: int
    text: str


def blocks_of(path: pathlib.Path) -> Iterator[Block]:
    """The blocks of a document that can be run."""
    document = path.read_text(encoding="utf-8")
    for match in FENCE.finditer(document):
        line = document.count("\n", 0, match.start()) + 2
        language, text = match.groups()
        if language == "python":
            yield Block(language="python", file=path.name, line=line, text=text)
        elif language in ("bash", "sh", "shell", "console"):
            yield Block(language="bash", file=path.name, line=line, text=shell_lines(text, console=language == "console"))


def shell_lines(text: str, *, console: bool) -> str:
    """The commands of a shell block less the set-up ones; in a console block they follow "$ " and the rest is output.

    Raises ValueError for a command that is neither `tvm-rank` nor set-up.
    """
    joined = text.replace("\\\n", " ")
    lines = [line[2:] for line in joined.splitlines() if line.startswith("$ ")] if console else joined.splitlines()
    commands = [line for line in lines if line.strip() and not line.startswith("#")]
    for command in commands:
        if not command.startswith(("tvm-rank ", *SET_UP)):
            raise ValueError(f"{command!r} is not run by tests/test_docs.py: use tvm-rank, or add it to SET_UP")
    return "\n".join(command for command in commands if not command.startswith(SET_UP))


def install_command(folder: pathlib.Path) -> str:
    """A folder with `tvm-rank`, as an installation makes it, for this tree and this interpreter."""
    command = folder / "tvm-rank"
    command.write_text(f"#!{sys.executable}\nimport sys\n{QUICK}\nfrom tvm_rank.cli.main import main\nsys.exit(main())\n")
    command.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_of_the_document_runs(document: pathlib.Path, tmp_path: pathlib.Path, fresh_python: Callable[..., str]):
    work, commands = tmp_path / "work", tmp_path / "bin"
    commands.mkdir()
    zoo.build("dcn" if str(document.relative_to(ROOT)) in LIGHT else "deepfm", work)
    blocks = [asdict(block) for block in blocks_of(document)]
    fresh_python(DRIVER, cwd=work, stdin=json.dumps(blocks), path=install_command(commands))


def test_the_readme_has_python_and_the_set_up_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert any(block.language == "python" for block in blocks_of(ROOT / "README.md"))
    assert "./scripts/demo" in readme
    assert "./scripts/test" in readme


def test_links_of_the_documents_lead_to_files():
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert broken == []


def test_blocks_share_names_and_a_failing_block_is_named(tmp_path: pathlib.Path, fresh_python: Callable[..., str]):
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\n```\ntext\n```python\nassert x == 1\nassert x == 2, 'seen'\n```\n")
    blocks = [asdict(block) for block in blocks_of(page)]
    with pytest.raises(AssertionError, match=r'"page.md", line 7(?s:.)*seen'):
        fresh_python(DRIVER, cwd=tmp_path, stdin=json.dumps(blocks))


def test_a_failing_shell_command_fails_the_document(tmp_path: pathlib.Path, fresh_python: Callable[..., str]):
    page = tmp_path / "page.md"
    page.write_text("```bash\n./scripts/demo\ntvm-rank no-such-verb\n```\n")
    blocks = [asdict(block) for block in blocks_of(page)]
    assert [block["text"] for block in blocks] == ["tvm-rank no-such-verb"]
    with pytest.raises(AssertionError, match=r"page.md:2: status [12] of"):
        fresh_python(DRIVER, cwd=tmp_path, stdin=json.dumps(blocks), path=install_command(tmp_path))


def test_an_unknown_shell_command_is_refused():
    with pytest.raises(ValueError, match="rm -rf"):
        shell_lines("tvm-rank --help\nrm -rf /\n", console=False)
    assert shell_lines("$ tvm-rank \\\n --help\nusage: tvm-rank\n", console=True).split() == ["tvm-rank", "--help"]
