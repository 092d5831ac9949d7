"""transform_files: what is written is what the program gives, however rows are cut; what does not fit is refused before the work."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transform_cases import FG, make_rows, parts_of, read_out, transform, write_arrow, write_parquet

from tvm_rank.errors import InputError, RankError
from tvm_rank.features import program_of
from tvm_rank.output import FeatureOutput
from tvm_rank.transform import job
from tvm_rank.transform.columns import FeatureColumns
from tvm_rank.transform.source import Reader, open_source

Expected = Callable[[pa.Table], pa.Table]


def same(out: pathlib.Path, wanted: pa.Table) -> None:
    found = read_out(out)
    assert found.schema.names == wanted.schema.names
    for name in wanted.schema.names:
        assert found.column(name).type == wanted.column(name).type, name
        assert found.column(name).to_pylist() == wanted.column(name).to_pylist(), name


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
def test_the_parts_hold_what_the_program_gives(kind: str, tmp_path: pathlib.Path, expected: Expected):
    table = make_rows()
    path = tmp_path / f"rows.{'parquet' if kind == 'parquet' else 'arrow'}"
    write_parquet(path, table) if kind == "parquet" else write_arrow(path, table, stream=kind == "stream")
    summary = transform(FG, [path], tmp_path / "out", base_dir=tmp_path)
    same(tmp_path / "out", expected(table))
    assert (summary.rows, summary.parts, summary.resumed, summary.errors) == (1000, 1, 0, ())
    assert summary.bytes == sum(part.stat().st_size for part in parts_of(tmp_path / "out"))


@pytest.mark.parametrize(("rows", "part_bytes", "parts"), [(7, 1, 4), (300, 1, 4), (64, 10**9, 1), (1, 20_000, None)])
def test_how_rows_are_cut_does_not_change_them(
    rows: int, part_bytes: int, parts: int | None, tmp_path: pathlib.Path, expected: Expected
):
    table = make_rows()
    path = write_parquet(tmp_path / "rows.parquet", table)
    summary = transform(FG, [path], tmp_path / "out", rows=rows, part_bytes=part_bytes, threads=2)
    same(tmp_path / "out", expected(table))
    assert parts is None or summary.parts == parts


def test_folders_and_files_are_taken_in_order(tmp_path: pathlib.Path, expected: Expected):
    tables = [make_rows(50, seed=seed) for seed in range(4)]
    inside = tmp_path / "day"
    (inside / "hour").mkdir(parents=True)
    write_parquet(inside / "b.parquet", tables[1])
    write_arrow(inside / "hour" / "a.arrow", tables[2])
    write_parquet(inside / "_skipped.parquet", tables[3])
    (inside / "notes.txt").write_text("x")
    first = write_parquet(tmp_path / "z.parquet", tables[0])
    transform(FG, [first, inside], tmp_path / "out")
    same(tmp_path / "out", expected(pa.concat_tables(tables[:3])))


def test_files_may_have_other_types_and_columns_that_nobody_reads(tmp_path: pathlib.Path, expected: Expected):
    table = make_rows(40)
    other = table.set_column(3, "city", table.column("city").combine_chunks().dictionary_encode())
    other = other.set_column(5, "number", other.column("number").cast(pa.large_string())).drop_columns(["unused"])
    paths = [write_arrow(tmp_path / "a.arrow", table), write_arrow(tmp_path / "b.arrow", other)]
    transform(FG, paths, tmp_path / "out")
    same(tmp_path / "out", expected(pa.concat_tables([table, table])))


def test_a_file_without_rows_gives_no_part(tmp_path: pathlib.Path):
    paths = [write_arrow(tmp_path / "a.arrow", make_rows(9)[:0]), write_parquet(tmp_path / "b.parquet", make_rows(9)[:0])]
    summary = transform(FG, paths, tmp_path / "out")
    assert (summary.rows, summary.parts, parts_of(tmp_path / "out")) == (0, 0, [])


def test_kept_columns_lengths_and_metadata(tmp_path: pathlib.Path):
    table = make_rows(30)
    path = write_parquet(tmp_path / "rows.parquet", table)
    transform(FG, [path], tmp_path / "out", keep=["label", "user_id"], lengths=True, compression="zstd")
    out = read_out(tmp_path / "out")
    assert out.column_names[:4] == ["label", "user_id", "f_city", "f_city__lengths"]
    assert out.column("label").equals(table.column("label"))
    assert out.column("f_city__lengths").type == pa.int32()
    assert out.column("f_city__lengths").to_pylist() == [len(ids) for ids in out.column("f_city").to_pylist()]
    metadata = {key.decode(): value.decode() for key, value in out.schema.metadata.items()}
    assert metadata["tvm_rank.hash_function"] == "std"
    assert len(metadata["tvm_rank.fingerprint"]) == 32


def test_only_the_columns_that_are_needed_are_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    seen: set[tuple[str, ...]] = set()
    batches = Reader.batches

    def spy(self: Reader, *arguments: Any) -> Any:
        for batch in batches(self, *arguments):
            seen.add(tuple(batch.schema.names))
            assert batch.num_rows <= 16
            yield batch

    monkeypatch.setattr(Reader, "batches", spy)
    path = write_parquet(tmp_path / "rows.parquet", make_rows(100))
    transform(FG, [path], tmp_path / "out", rows=16)
    assert seen == {("user_id", "city", "tags", "number", "price", "vector")}


def test_all_columns_that_files_lack_are_named_at_once(tmp_path: pathlib.Path):
    table = make_rows(10)
    paths = [
        write_parquet(tmp_path / "a.parquet", table.drop_columns(["city"])),
        write_parquet(tmp_path / "b.parquet", table.drop_columns(["price"]).set_column(0, "label", pa.array([0.5] * 10))),
    ]
    with pytest.raises(InputError) as error:
        transform(FG, paths, tmp_path / "out", keep=["label", "lable"])
    text = str(error.value)
    assert "5 problem(s)" in text
    assert "a.parquet: column 'lable' is missing; did you mean 'label'?" in text
    assert "a.parquet: column 'city' is missing" in text
    assert "b.parquet: column 'price' is missing" in text
    assert "b.parquet: column 'label' is double, and int8 in" in text


def test_a_wrong_type_and_two_columns_of_a_name_are_refused_before_the_work(tmp_path: pathlib.Path):
    table = make_rows(10)
    wrong = write_parquet(tmp_path / "a.parquet", table.set_column(3, "city", table.column("unused")))
    with pytest.raises(InputError, match=r"a\.parquet: column 'city': unsupported type bool"):
        transform(FG, [wrong], tmp_path / "out")
    named = write_parquet(tmp_path / "b.parquet", table.append_column("f_city", table.column("label")))
    with pytest.raises(InputError, match="output column 'f_city': there are two of this name"):
        transform(FG, [named], tmp_path / "out", keep=["f_city"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.parquet", "does not exist"), ("rows.csv", "unknown kind of file '.csv'"), ("empty", "the folder has no file that ends in"),
     ("text.parquet", "cannot be read"), ("text.arrow", "cannot be read")],
)  # fmt: skip
def test_inputs_that_are_none_are_refused(name: str, message: str, tmp_path: pathlib.Path):
    (tmp_path / "empty").mkdir()
    for file in ("rows.csv", "text.parquet", "text.arrow"):
        (tmp_path / file).write_text("a,b\n" * 100)
    with pytest.raises(InputError, match=message):
        transform(FG, [tmp_path / name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_given_twice_is_refused(tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(10))
    with pytest.raises(InputError, match="is given twice"):
        transform(FG, [path, tmp_path], tmp_path / "out")


@pytest.mark.parametrize("reserves", ["user_id", [1]])
def test_reserves_are_names(reserves: Any, tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(10))
    with pytest.raises(InputError, match="reserves: wanted a list of column names"):
        transform({**FG, "reserves": reserves}, [path], tmp_path / "out")


def test_the_groups_of_a_stream_are_read_in_any_order(tmp_path: pathlib.Path):
    table = make_rows(100)
    source, _ = open_source(write_arrow(tmp_path / "a.arrow", table, stream=True, rows=10))
    reader = Reader(["label"], 4)
    for group in (3, 4, 9, 0, 8):
        rows = [value for batch in reader.batches(source, group) for value in batch.column("label").to_pylist()]
        assert rows == table.column("label").to_pylist()[10 * group : 10 * group + 10]
    reader.close()


def test_an_output_that_cannot_be_written_ends_the_run(tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(10))
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RankError, match="out: cannot be written"):
        transform(FG, [path], tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(RankError, match="is not empty, and no transform has written there"):
        transform(FG, [path], tmp_path / "full")


def test_ids_are_delta_packed(tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(100))
    transform(FG, [path], tmp_path / "out")
    group = pq.ParquetFile(parts_of(tmp_path / "out")[0]).metadata.row_group(0)
    columns = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in columns["f_city.list.element"].encodings
    assert "DELTA_BINARY_PACKED" in columns["f_first"].encodings
    assert columns["f_first"].compression == "UNCOMPRESSED"
    assert columns["user_id"].compression == "SNAPPY"


def test_sequences_and_texts_are_columns_too():
    columns = FeatureColumns(name="f", one_id=True, with_lengths=True)
    sequence = FeatureOutput(values=np.arange(6), lengths=np.array([2, 1], np.int32), key_lengths=np.array([1, 3, 2], np.int32))
    encoded = {name: array.to_pylist() for name, array in columns.encode(sequence, 2).items()}
    assert encoded == {"f": [[0, 1, 2, 3], [4, 5]], "f__key_lengths": [[1, 3], [2]], "f__lengths": [2, 1]}
    dense = FeatureOutput(dense=np.arange(6, dtype=np.float32).reshape(3, 2), lengths=np.array([2, 1], np.int32))
    assert columns.encode(dense, 2)["f"].to_pylist() == [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    texts = FeatureOutput(texts=pa.array([["a", "b"], []], pa.list_(pa.string())), lengths=np.array([2, 0], np.int32))
    assert columns.encode(texts, 2)["f"].to_pylist() == [["a", "b"], []]


def test_the_older_dialect_gives_texts(tmp_path: pathlib.Path):
    fg = {"features": [{"feature_name": "f", "feature_type": "id_feature", "expression": "user:city", "separator": "|"}]}
    path = write_parquet(tmp_path / "rows.parquet", make_rows(20))
    options = job.Options(dialect="rtp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "_compiled", lambda configuration, *_: program_of(configuration.config, threads=1))
        job.transform_files(fg, [path], tmp_path / "out", options)
    found = read_out(tmp_path / "out").column("f")
    assert found.type == pa.list_(pa.string())
    assert found[1].as_py() == ["f_c1", "f_é1"]
