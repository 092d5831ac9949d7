"""`tvm-rank run`: every kind of file in and out gives the scores of NumPy; what does not fit is refused."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tvm_rank import zoo

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def expected(shop: Any) -> np.ndarray:
    """The scores of all items by NumPy, in the order of the item file."""
    return zoo.oracle(shop.workload)


def write(path: pathlib.Path, table: pa.Table) -> pathlib.Path:
    """The table as a file of the kind that its name says."""
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist()), encoding="utf-8")
    elif path.suffix == ".arrows":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=17)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=17)
    return path


def read_scores(path: pathlib.Path) -> np.ndarray:
    """The scores of a file that `run` wrote, (items,)."""
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".csv":
        return pa_csv.read_csv(path).column("score").to_numpy()
    table = pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_file(path.read_bytes()).read_all()
    assert table.schema.field("score").type == pa.float32()
    return table.column("score").to_numpy()


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".arrow", ".csv"])
def test_the_scores_are_written_in_the_order_of_the_items(
    tvm_rank_command: Callable[..., Any], shop: Any, expected: np.ndarray, tmp_path: pathlib.Path, suffix: str
):
    out = tmp_path / f"scores{suffix}"
    out.write_text("old")
    assert tvm_rank_command("run", *shop.files, "--out", out).status == 0
    scores = read_scores(out)
    assert scores.shape == (120,)
    assert np.abs(scores - expected).max() <= TOLERANCE
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows", ".jsonl"])
def test_every_kind_of_file_gives_the_same_scores(
    tvm_rank_command: Callable[..., Any], shop: Any, expected: np.ndarray, tmp_path: pathlib.Path, suffix: str
):
    user = write(tmp_path / f"user{suffix}", shop.workload.read_user())
    items = write(tmp_path / f"items{suffix}", shop.workload.read_items())
    done = tvm_rank_command("run", shop.artifact, "--user", user, "--items", items, "--out", tmp_path / "scores.npy")
    assert done.status == 0, done.err
    assert np.abs(np.load(tmp_path / "scores.npy") - expected).max() <= TOLERANCE


def test_csv_gives_the_same_scores_where_it_can_hold_the_columns(
    tvm_rank_command: Callable[..., Any], shop: Any, expected: np.ndarray, tmp_path: pathlib.Path
):
    items = shop.workload.read_items()
    lists = [field.name for field in items.schema if pa.types.is_list(field.type)]
    plain = {
        name: items.column(name) if name not in lists else pa.array([None] * len(items), pa.string()) for name in items.column_names
    }
    file = write(tmp_path / "items.csv", pa.table(plain))
    arrow = write(tmp_path / "items.arrow", pa.table(plain))
    for name, given in (("csv", file), ("arrow", arrow)):
        done = tvm_rank_command("run", *shop.files[:3], "--items", given, "--out", tmp_path / f"{name}.npy")
        assert done.status == 0, done.err
    csv_scores, arrow_scores = np.load(tmp_path / "csv.npy"), np.load(tmp_path / "arrow.npy")
    assert np.abs(csv_scores - arrow_scores).max() <= TOLERANCE
    assert not np.allclose(csv_scores, expected)  # the lists count


def test_types_that_other_tools_write_are_taken(
    tvm_rank_command: Callable[..., Any], shop: Any, expected: np.ndarray, tmp_path: pathlib.Path
):
    items = shop.workload.read_items()
    columns = {name: items.column(name) for name in items.column_names}
    columns["category"] = columns["category"].combine_chunks().dictionary_encode()
    columns["brand"] = columns["brand"].cast(pa.large_string())
    columns["tags"] = columns["tags"].cast(pa.large_list(pa.large_string()))
    columns["request"] = columns["request"].cast(pa.uint8())
    file = write(tmp_path / "items.arrow", pa.table(columns))
    done = tvm_rank_command("run", *shop.files[:3], "--items", file, "--out", tmp_path / "scores.npy")
    assert done.status == 0, done.err
    assert np.abs(np.load(tmp_path / "scores.npy") - expected).max() <= TOLERANCE


def test_items_may_stand_in_any_order_under_a_request_column_of_any_name(
    tvm_rank_command: Callable[..., Any], shop: Any, expected: np.ndarray, tmp_path: pathlib.Path
):
    order = np.random.default_rng(1).permutation(120)
    items = shop.workload.read_items().take(pa.array(order))
    items = items.rename_columns(["row_of_user" if name == "request" else name for name in items.column_names])
    file = write(tmp_path / "items.arrow", items)
    done = tvm_rank_command("run", *shop.files[:3], "--items", file, "--request-column", "row_of_user", "--out", tmp_path / "s.npy")
    assert done.status == 0, done.err
    assert np.abs(np.load(tmp_path / "s.npy") - expected[order]).max() <= TOLERANCE
    done = tvm_rank_command("run", *shop.files[:3], "--items", file)
    assert done.status == 1
    assert "user has 4 rows; name the column of items that holds the row of user with --request-column" in done.err


def test_one_user_row_needs_no_request_column(
    tvm_rank_command: Callable[..., Any], shop: Any, expected: np.ndarray, tmp_path: pathlib.Path
):
    user = write(tmp_path / "user.arrow", shop.workload.read_user(2))
    items = write(tmp_path / "items.arrow", shop.workload.read_items(2))
    done = tvm_rank_command("run", shop.artifact, "--user", user, "--items", items, "--out", tmp_path / "s.npy")
    assert done.status == 0, done.err
    assert np.abs(np.load(tmp_path / "s.npy") - expected[60:90]).max() <= TOLERANCE


def test_the_best_items_of_the_first_requests_are_printed_best_first(
    tvm_rank_command: Callable[..., Any], shop: Any, expected: np.ndarray
):
    done = tvm_rank_command("run", *shop.files, "--top", "4", "--threads", "1")
    assert re.findall(r"request (\d+): the best 4 of 30 items", done.out) == ["0", "1", "2"]
    rows = re.findall(r"^  (\d)     (\d+) +(0\.\d{6})  sku-\d+", done.out, re.MULTILINE)
    assert len(rows) == 12
    for request in range(3):
        best = np.argsort(-expected[30 * request : 30 * request + 30])[:4] + 30 * request
        printed = rows[4 * request : 4 * request + 4]
        assert [int(row) for _, row, _ in printed] == best.tolist()
        assert [int(rank) for rank, _, _ in printed] == [1, 2, 3, 4]
        assert np.abs([float(score) for *_, score in printed] - expected[best]).max() <= TOLERANCE
    assert "ranked 120 items of 4 requests with 1 thread\n" in done.out
    assert "wrote" not in done.out


def test_times_are_printed_with_repeat(tvm_rank_command: Callable[..., Any], shop: Any):
    assert "time of a request" not in tvm_rank_command("run", *shop.files, "--top", "0").out
    done = tvm_rank_command("run", *shop.files, "--top", "0", "--repeat", "3")
    assert re.search(r"^time of a request: median \d+\.\d{3} ms, p99 \d+\.\d{3} ms \(12 runs\)$", done.out, re.MULTILINE)
    assert "the best" not in done.out


def test_no_items_give_an_empty_file(tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path):
    items = write(tmp_path / "items.arrow", shop.workload.read_items().slice(0, 0))
    done = tvm_rank_command("run", *shop.files[:3], "--items", items, "--out", tmp_path / "s.npy", "--repeat", "2")
    assert done.status == 0, done.err
    assert np.load(tmp_path / "s.npy").shape == (0,)
    assert "ranked 0 items of 0 requests" in done.out


def changed(shop: Any, folder: pathlib.Path, name: str, column: Any) -> pathlib.Path:
    """The item file with one column replaced, or without it for None."""
    items = shop.workload.read_items()
    columns = {key: items.column(key) for key in items.column_names} | {name: column}
    return write(folder / "changed.arrow", pa.table({key: value for key, value in columns.items() if value is not None}))


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("price", None, "items: column 'price' is missing"),
        ("price", pa.array([True] * 120), "item column 'price': unsupported type bool"),
        ("request", pa.array([0.5] * 120), "items column 'request': wanted"),
        ("request", pa.array(["first"] * 120), "items column 'request': wanted the row of user of each item; got string"),
        ("request", pa.array([None] * 120, pa.int32()), "wanted an integer for each item; got int32 with 120 nulls"),
        ("request", pa.array([4] * 120), "items column 'request': leads to rows 4 to 4 of user, which has 4 rows"),
        ("request", pa.array([-1] * 120), "leads to rows -1 to -1"),
    ],
)
def test_items_that_do_not_fit_are_refused(
    tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path, name: str, column: Any, message: str
):
    items = changed(shop, tmp_path, name, column)
    done = tvm_rank_command("run", *shop.files[:3], "--items", items, "--out", tmp_path / "s.npy")
    assert done.status == 1
    assert message in done.err
    assert not (tmp_path / "s.npy").exists()


def test_a_request_column_that_is_not_there_is_refused(tvm_rank_command: Callable[..., Any], shop: Any):
    done = tvm_rank_command("run", *shop.files, "--request-column", "reqest")
    assert done.status == 1
    assert "no column 'reqest' for --request-column; it has item_id" in done.err


def test_user_columns_that_are_needed_and_not_given_are_named(
    tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path
):
    items = changed(shop, tmp_path, "request", pa.array([0] * 120))
    done = tvm_rank_command("run", shop.artifact, "--items", items)
    assert done.status == 1
    assert "user: not given; it needs the columns user_id" in done.err


DAMAGED = {
    "missing.arrow": None,
    "unknown.xlsx": b"PK",
    "no-suffix": b"",
    "empty.arrow": b"",
    "text.arrow": b"hello, world",
    "text.parquet": b"hello, world",
    "cut.arrow": b"ARROW1\0\0\xff\xff\xff\xff",
    "empty.csv": b"",
    "ragged.csv": b"a,b\n1,2\n3\n",
    "twice.csv": b"a,a\n1,2\n",
    "latin.csv": "a,b\nB\u00fccher,1\n".encode("latin-1"),
    "broken.jsonl": b'{"a": 1}\n{"a": ',
    "list.jsonl": b"[1, 2]\n",
    "mixed.jsonl": b'{"a": 1}\n{"a": "x"}\n',
    "latin.jsonl": b'{"a": "\xfc"}\n',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_cannot_be_read_is_named(tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path, name: str):
    data = DAMAGED[name]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    done = tvm_rank_command("run", *shop.files[:3], "--items", tmp_path / name)
    assert done.status == 1
    assert str(tmp_path / name) in done.err
    assert "Traceback" not in done.err


def test_json_lines_name_the_line(tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": \n')
    assert "a.jsonl, line 3: is not JSON" in tvm_rank_command("run", *shop.files[:3], "--items", tmp_path / "a.jsonl").err


def test_a_folder_for_the_scores_that_is_missing_is_refused_before_the_work(
    tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path
):
    done = tvm_rank_command("run", *shop.files, "--out", tmp_path / "no" / "scores.npy")
    assert (done.status, done.out) == (1, "")
    assert "no does not exist; make it first" in done.err


def test_scores_that_cannot_be_written_leave_the_old_file(
    tvm_rank_command: Callable[..., Any], shop: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "scores.npy"
    out.write_text("old")

    def full(*_args: Any, **_more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    done = tvm_rank_command("run", *shop.files, "--out", out)
    assert done.status == 1
    assert "the scores cannot be written ([Errno 28] No space left on device)" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npy"]
    assert out.read_text() == "old"
