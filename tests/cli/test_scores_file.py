"""Outputs of other shapes than one score an item, which the zoo's models do not have."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tvm_rank.cli.columns_file import read_columns
from tvm_rank.cli.scores_file import check_outputs, write_scores
from tvm_rank.errors import RankError

SCORES = {
    "ctr": np.arange(5, dtype=np.float32).reshape(5, 1),
    "id": np.arange(5, dtype=np.int64),
    "vector": np.arange(15, dtype=np.float32).reshape(5, 3),
    "matrix": np.arange(60, dtype=np.float32).reshape(5, 3, 4),
}


def test_npy_holds_a_wide_output_as_it_is_and_a_narrow_one_as_a_vector(tmp_path: pathlib.Path):
    for name, shape in (("ctr", (5,)), ("id", (5,)), ("vector", (5, 3)), ("matrix", (5, 3, 4))):
        write_scores(tmp_path / "a.npy", {name: SCORES[name]})
        got = np.load(tmp_path / "a.npy")
        assert got.shape == shape
        assert np.array_equal(got.reshape(-1), SCORES[name].reshape(-1))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_tables_hold_all_outputs_wide_ones_as_lists(tmp_path: pathlib.Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    write_scores(path, SCORES)
    table = pq.read_table(path) if suffix == ".parquet" else pa.ipc.open_file(path.read_bytes()).read_all()
    assert table.column_names == list(SCORES)
    assert table.column("ctr").to_pylist() == [0, 1, 2, 3, 4]
    assert table.column("id").type == pa.int64()
    assert table.column("vector").to_pylist() == SCORES["vector"].tolist()
    assert table.column("matrix").to_pylist() == SCORES["matrix"].tolist()


def test_csv_has_a_column_for_each_value(tmp_path: pathlib.Path):
    write_scores(tmp_path / "a.csv", {name: SCORES[name] for name in ("ctr", "vector")})
    table = pa_csv.read_csv(tmp_path / "a.csv")
    assert table.column_names == ["ctr", "vector_0", "vector_1", "vector_2"]
    assert table.column("vector_1").to_pylist() == [1, 4, 7, 10, 13]


def test_npy_refuses_several_outputs(tmp_path: pathlib.Path):
    with pytest.raises(RankError, match=r"an .npy file holds one output, the model has a, b; give .parquet, .arrow or .csv"):
        check_outputs(tmp_path / "a.npy", ["a", "b"])
    check_outputs(tmp_path / "a.csv", ["a", "b"])


def test_csv_columns_are_text_as_it_stands(tmp_path: pathlib.Path):
    (tmp_path / "a.csv").write_text('id,price,name\n007,1.50,"a, b"\n,,""\n')
    table = read_columns(tmp_path / "a.csv")
    assert table.schema.types == [pa.string()] * 3
    assert table.to_pydict() == {"id": ["007", None], "price": ["1.50", None], "name": ["a, b", ""]}


def test_json_objects_are_weighted_ids(tmp_path: pathlib.Path):
    (tmp_path / "a.jsonl").write_text('{"w": {"x": 1, "y": 0.5}, "n": 1}\n{"n": 2}\n{"w": {}}\n')
    table = read_columns(tmp_path / "a.jsonl")
    assert table.schema.field("w").type == pa.map_(pa.string(), pa.float64())
    assert table.to_pydict() == {"w": [[("x", 1.0), ("y", 0.5)], None, []], "n": [1, 2, None]}
