"""The rooms: imports go down only, each room works alone, and what must be light does not load TVM."""

from __future__ import annotations

import ast
import pathlib
import statistics
from collections.abc import Callable, Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "te_schedules": {"te_schedules"},
    "relay_passes": {"relay_passes", "te_schedules"},
    "tvm_rank": {"tvm_rank", "relay_passes", "te_schedules"},
}
# Inside tvm_rank: what a folder must keep away from.
MUST_NOT_IMPORT = {
    "tvm_rank/config": ["tvm", "te_schedules", "relay_passes", "tvm_rank.frontend", "tvm_rank.runtime", "tvm_rank.cli"],
    "tvm_rank/zoo": ["tvm", "te_schedules", "relay_passes", "tvm_rank.runtime", "tvm_rank.cli"],
    "tvm_rank/runtime": ["te_schedules", "relay_passes", "tvm_rank.frontend", "tvm_rank.cli", "tvm_rank.zoo"],
    "tvm_rank/artifact": ["te_schedules", "relay_passes", "tvm_rank.cli", "tvm_rank.zoo"],
}
# What only compiling needs: an engine runs on a machine that has neither these nor TVM's compiler.
COMPILE_SIDE = ("te_schedules", "relay_passes", "tvm_rank.frontend", "tvm_rank.lowering", "tvm_rank.pipeline", "tvm_rank.compiler")
LIGHT = ["tvm_rank", "tvm_rank.errors", "tvm_rank.config.load", "tvm_rank.cli.main", "tvm_rank.zoo"]
IMPORT_LIMIT_S = 0.3


def imports_of(source: str) -> Iterator[tuple[int, str]]:
    """(line, full name) of every import, those inside functions included; `from a import b` counts as a and as a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def upward_imports(root: pathlib.Path) -> Iterator[str]:
    """Imports of a room that the importing room may not see."""
    for room, allowed in MAY_IMPORT.items():
        for path in sorted((root / room).rglob("*.py")):
            for line, name in imports_of(path.read_text(encoding="utf-8")):
                if (top := name.split(".")[0]) in MAY_IMPORT and top not in allowed:
                    yield f"{path.relative_to(root)}:{line} imports {name}"


def is_type_only(name: str, source: str) -> bool:
    """True when every import of `name` stands under `if TYPE_CHECKING:`."""
    guarded = [
        found
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for found in imports_of(ast.unparse(node))
    ]
    return len([n for _, n in guarded if n == name]) == len([n for _, n in imports_of(source) if n == name])


def forbidden_imports(root: pathlib.Path) -> Iterator[str]:
    """Imports, other than for types, that MUST_NOT_IMPORT rules out."""
    for folder, forbidden in MUST_NOT_IMPORT.items():
        for path in sorted((root / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            for line, name in imports_of(source):
                if any(name == f or name.startswith(f"{f}.") for f in forbidden) and not is_type_only(name, source):
                    yield f"{path.relative_to(root)}:{line} imports {name}"


def test_rooms_only_import_downwards():
    assert all(list((ROOT / room).rglob("*.py")) for room in MAY_IMPORT)
    assert list(upward_imports(ROOT)) == []


def test_folders_of_tvm_rank_keep_away_from_what_they_must_not_need():
    assert list(forbidden_imports(ROOT)) == []


def test_an_upward_import_would_be_found(tmp_path):
    for room in MAY_IMPORT:
        (tmp_path / room).mkdir()
    (tmp_path / "te_schedules" / "bad.py").write_text("def f():\n    from tvm_rank.errors import RankError\n")
    (tmp_path / "relay_passes" / "good.py").write_text("import te_schedules.marker\n")
    assert "te_schedules/bad.py:2 imports tvm_rank.errors" in list(upward_imports(tmp_path))
    assert not any("good.py" in line for line in upward_imports(tmp_path))


def test_a_forbidden_import_would_be_found_and_one_for_types_is_allowed(tmp_path):
    folder = tmp_path / "tvm_rank" / "config"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text("import tvm.relax\n")
    (folder / "good.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tvm\n")
    assert list(forbidden_imports(tmp_path)) == ["tvm_rank/config/bad.py:1 imports tvm.relax"]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_each_room_imports_alone_in_a_fresh_interpreter(room: str, fresh_python: Callable[..., str]):
    code = f"import {room}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = set(fresh_python(code).split()) & MAY_IMPORT.keys()
    assert room in loaded
    assert loaded <= MAY_IMPORT[room]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_do_not_load_tvm(module: str, fresh_python: Callable[..., str]):
    assert fresh_python(f"import {module}, sys; print('tvm' in sys.modules)").strip() == "False"


def test_the_engine_needs_nothing_of_the_compiler(fresh_python: Callable[..., str]):
    code = "import tvm_rank.runtime.engine, sys; print(*sys.modules)"
    loaded = fresh_python(code).split()
    assert "tvm_rank.runtime.engine" in loaded
    assert [name for name in loaded if name.startswith(COMPILE_SIDE)] == []


def test_importing_tvm_rank_is_quick(fresh_python: Callable[..., str]):
    code = "import time; start = time.perf_counter(); import tvm_rank; print(time.perf_counter() - start)"
    assert statistics.median(float(fresh_python(code)) for _ in range(5)) <= IMPORT_LIMIT_S


def test_public_names_are_the_same_at_every_use(fresh_python: Callable[..., str]):
    # a name that is also a module's name would turn into the module once that is imported
    code = """
import types, tvm_rank
first = {name: getattr(tvm_rank, name) for name in tvm_rank.__all__}
print(*[name for name in first if getattr(tvm_rank, name) is not first[name] or isinstance(first[name], types.ModuleType)])
"""
    assert fresh_python(code).split() == []
