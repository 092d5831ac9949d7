"""--functions: user-defined functions of a Python file for compile, transform and explain, and what is refused."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ops.identity_model import identity_model

import tvm_rank
from tvm_rank.errors import RankError
from tvm_rank.functions.file import read_functions

SOURCE = """\
import tvm_rank
from beside import PARTS


@tvm_rank.udf
def shared(query: list[str], title: list[str], *, scale: float = 1.0) -> float:
    found = 0
    for word in query:
        if word in title:
            found += 1
    return scale * found / PARTS
"""
FG = {
    "features": [
        {"feature_name": "words", "feature_type": "custom_feature", "operator_name": "shared", "scale": 8, "separator": " ",
         "expression": ["user:query", "item:title"], "default_value": "-1"},
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with fg.json, functions.py and what it imports, a model, and tables."""
    folder = tmp_path_factory.mktemp("functions")
    (folder / "fg.json").write_text(json.dumps(FG))
    (folder / "functions.py").write_text(SOURCE)
    (folder / "beside.py").write_text("PARTS = 4\n")
    user, items = pa.table({"query": ["red shirt"]}), pa.table({"title": ["red dress", "shirt red", "x"]})
    pq.write_table(user, folder / "user.parquet")
    pq.write_table(items, folder / "items.parquet")
    pq.write_table(items.append_column("query", pa.array(["red shirt"] * 3)), folder / "rows.parquet")
    onnx.save(identity_model({"words": 1}), folder / "model.onnx")
    return folder


def test_an_artifact_is_compiled_and_explained_with_functions(tvm_rank_command: Callable[..., Any], files: pathlib.Path):
    named = ["--functions", files / "functions.py"]
    done = tvm_rank_command(
        "compile", "--features", files / "fg.json", "--model", files / "model.onnx", *named, "--out", files / "artifact"
    )
    assert done.status == 0, done.err
    engine = tvm_rank.load(files / "artifact")
    scores = engine.rank(user=pq.read_table(files / "user.parquet"), items=pq.read_table(files / "items.parquet"))
    assert scores["words_out"].tolist() == [[2.0], [4.0], [0.0]]
    data = ["--user", files / "user.parquet", "--items", files / "items.parquet", "--item", 1, "--json"]
    done = tvm_rank_command("explain", files / "artifact", *data, *named)
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert (found["scores"], found["agree"]) == ({"words_out": [4.0]}, True)
    assert found["features"][0]["values"] == [{"number": 4.0, "is_default": False}]


def test_rows_are_transformed_with_functions_and_a_run_goes_on_only_with_the_same(
    tvm_rank_command: Callable[..., Any], files: pathlib.Path, tmp_path: pathlib.Path
):
    functions = tmp_path / "functions.py"
    functions.write_text(SOURCE)
    (tmp_path / "beside.py").write_text("PARTS = 4\n")
    command = ["transform", files / "fg.json", files / "rows.parquet", "--functions", functions, "--out", tmp_path / "out"]
    done = tvm_rank_command(*command)
    assert done.status == 0, done.err
    assert pq.read_table(tmp_path / "out").column("words").to_pylist() == [2.0, 4.0, 0.0]
    assert tvm_rank_command(*command, "--resume").status == 0
    functions.write_text(SOURCE.replace("found += 1", "found += 2"))
    done = tvm_rank_command(*command, "--resume")
    assert done.status == 1
    assert "feature configuration" in done.err


def test_a_configuration_that_names_an_unknown_function_says_how_to_give_it(
    tvm_rank_command: Callable[..., Any], files: pathlib.Path
):
    done = tvm_rank_command("explain", files / "fg.json", "--items", files / "rows.parquet", "--item", 0)
    assert done.status == 1
    assert "no function 'shared' is known" in done.err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "there is no such file; give a Python file with functions under @tvm_rank.udf"),
        ("x = 1\n", "has no function under @tvm_rank.udf"),
        ("x = 1\nraise ValueError('no')\n", "own.py:2: cannot be run (ValueError: no)"),
        ("def f(:\n", "cannot be run (SyntaxError"),
        ("import sys\nsys.exit(3)\n", "own.py:2: cannot be run (SystemExit: 3)"),
        ("import tvm_rank\n@tvm_rank.udf\ndef f(x) -> float:\n    return x\n", "own.py:3: in the udf 'f': 'x' has no annotation"),
    ],
)
def test_a_file_without_functions_is_refused(tmp_path: pathlib.Path, source: str | None, message: str):
    path = tmp_path / "own.py"
    if source is not None:
        path.write_text(source)
    with pytest.raises(RankError) as error:
        read_functions([str(path)])
    assert message in str(error.value)


def test_two_functions_of_one_name_are_refused(tmp_path: pathlib.Path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("import tvm_rank\n\n\n@tvm_rank.udf\ndef f(x: float) -> float:\n    return x\n")
    with pytest.raises(RankError, match=r"b\.py: the function 'f' is also in .*a\.py; give one of them another name"):
        read_functions([str(tmp_path / "a.py"), str(tmp_path / "b.py")])
    assert [function.name for function in read_functions([str(tmp_path / "a.py")])] == ["f"]
