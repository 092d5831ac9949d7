"""What a stopped transform leaves, and how it goes on; and what happens to rows that a feature refuses."""

from __future__ import annotations

import copy
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transform_cases import FG, make_rows, parts_of, read_out, transform, write_parquet

from tvm_rank.errors import RankError
from tvm_rank.transform import part as part_module
from tvm_rank.transform.fingerprint import fingerprint_of
from tvm_rank.transform.job import Progress
from tvm_rank.transform.journal import NAME

Expected = Callable[[pa.Table], pa.Table]
REASON = "num_buckets wants integers, and this text is none; clean the column, or use hash_bucket_size"


def stop_after(parts: int) -> Callable[[Progress], None]:
    def progress(state: Progress) -> None:
        if state.done_parts >= parts:
            raise KeyboardInterrupt

    return progress


def begun(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """(input file of four groups, output folder with at least one whole part)."""
    path, out = write_parquet(tmp_path / "rows.parquet", make_rows()), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        transform(FG, [path], out, part_bytes=1, threads=1, progress=stop_after(1))
    return path, out


def test_a_stopped_run_leaves_whole_parts_and_goes_on(tmp_path: pathlib.Path, expected: Expected):
    path, out = begun(tmp_path)
    assert [entry for entry in os.listdir(out) if entry.endswith(".tmp")] == []
    noted = [json.loads(line)["part"] for line in (out / NAME).read_text().splitlines()[1:]]
    before = {part: part.stat().st_mtime_ns for part in parts_of(out) if int(part.stem[-5:]) in noted}
    assert 1 <= len(before) <= 4
    assert all(pq.ParquetFile(part).metadata.num_rows in (300, 100) for part in parts_of(out))
    (out / ".part-00003.parquet.1.tmp").write_text("of a process that was killed")
    summary = transform(FG, [path], out, part_bytes=1, resume=True)
    assert (summary.rows, summary.parts) == (1000, 4)
    assert summary.resumed >= 1
    wanted = expected(make_rows())
    assert read_out(out).to_pydict() == wanted.to_pydict()
    assert all(part.stat().st_mtime_ns == time for part, time in before.items())
    assert sorted(os.listdir(out)) == [NAME, *(f"part-0000{k}.parquet" for k in range(4))]


def test_a_run_that_is_done_has_nothing_to_resume(tmp_path: pathlib.Path):
    path, out = write_parquet(tmp_path / "rows.parquet", make_rows(10)), tmp_path / "out"
    first = transform(FG, [path], out, resume=True)  # nothing is there: it begins
    second = transform(FG, [path], out, resume=True)
    assert (first.resumed, second.resumed, second.rows) == (0, 1, 10)


def test_another_run_is_not_continued(tmp_path: pathlib.Path):
    path, out = begun(tmp_path)
    with pytest.raises(RankError, match="holds the parts of an earlier run; continue it with --resume, or give another folder"):
        transform(FG, [path], out, part_bytes=1)
    changed = copy.deepcopy(FG)
    changed["features"][0]["hash_bucket_size"] = 101
    with pytest.raises(
        RankError, match="cannot be continued, since what was begun there had another feature configuration; start anew"
    ):
        transform(changed, [path], out, part_bytes=1, resume=True)
    with pytest.raises(RankError, match="another list of columns to keep"):
        transform(FG, [path], out, part_bytes=1, keep=["label"], resume=True)
    write_parquet(path, make_rows(seed=1))
    with pytest.raises(RankError, match="another input"):
        transform(FG, [path], out, part_bytes=1, resume=True)


def test_a_part_counts_only_when_it_is_there_in_full_and_noted(tmp_path: pathlib.Path, expected: Expected):
    path, out = begun(tmp_path)
    transform(FG, [path], out, part_bytes=1, resume=True)
    lines = (out / NAME).read_text().splitlines(keepends=True)
    (out / NAME).write_text("".join(lines[:-1]) + lines[-1][:20])  # the last line was cut short
    first = json.loads(lines[1])["part"]
    (out / f"part-0000{first}.parquet").write_bytes(b"PAR1")
    summary = transform(FG, [path], out, part_bytes=1, resume=True)
    assert summary.resumed == 2
    assert read_out(out).to_pydict() == expected(make_rows()).to_pydict()
    assert transform(FG, [path], out, part_bytes=1, resume=True).resumed == 4


def test_a_journal_without_its_first_line_is_not_trusted(tmp_path: pathlib.Path):
    path, out = begun(tmp_path)
    (out / NAME).write_text("{\n" + (out / NAME).read_text().split("\n", 1)[1])
    with pytest.raises(RankError, match="its first line is damaged"):
        transform(FG, [path], out, part_bytes=1, resume=True)


def test_two_runs_do_not_write_one_folder(tmp_path: pathlib.Path):
    path, out = write_parquet(tmp_path / "rows.parquet", make_rows(10)), tmp_path / "out"
    errors = []

    def second(_state: Progress) -> None:
        with pytest.raises(RankError, match="another transform is writing there") as error:
            transform(FG, [path], out, resume=True)
        errors.append(error)

    transform(FG, [path], out, progress=second)
    assert errors


@pytest.mark.parametrize("part_bytes", [1, 10**9])
@pytest.mark.parametrize("rows", [50, None])
def test_a_bad_row_costs_its_group_alone(part_bytes: int, rows: int | None, tmp_path: pathlib.Path, expected: Expected):
    table = make_rows(bad=(450, 470, 999))
    path = write_parquet(tmp_path / "rows.parquet", table)
    summary = transform(FG, [path], tmp_path / "out", part_bytes=part_bytes, rows=rows)
    found = [(error.file, error.kind, error.group, error.feature, error.reason) for error in summary.errors]
    assert found == [(str(path), "row group", group, "f_number", REASON) for group in (1, 3)]
    assert summary.errors[0].row in (150, 170)
    assert summary.errors[1].row == 99
    assert str(summary.errors[1]) == f"{path}, row group 3, feature 'f_number', row 99: {REASON}"
    good = pa.concat_tables([table[:300], table[600:900]])
    assert read_out(tmp_path / "out").to_pydict() == expected(good).to_pydict()
    again = transform(FG, [path], tmp_path / "out", part_bytes=part_bytes, rows=rows, resume=True)
    assert (again.errors, again.resumed) == (summary.errors, len({1: range(4), 10**9: range(1)}[part_bytes]))


def test_a_group_that_cannot_be_read_costs_itself_alone(tmp_path: pathlib.Path, expected: Expected):
    table = make_rows()
    path = write_parquet(tmp_path / "rows.parquet", table)
    place = pq.ParquetFile(path).metadata.row_group(2).column(5).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)
    summary = transform(FG, [path], tmp_path / "out")
    ((group, feature, row),) = [(error.group, error.feature, error.row) for error in summary.errors]
    assert (group, feature, row) == (2, None, None)
    assert "cannot be read" in summary.errors[0].reason
    good = pa.concat_tables([table[:600], table[900:]])
    assert read_out(tmp_path / "out").to_pydict() == expected(good).to_pydict()


def test_a_full_disk_ends_the_run_and_leaves_no_part(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    path = write_parquet(tmp_path / "rows.parquet", make_rows())
    monkeypatch.setattr(part_module.pq.ParquetWriter, "write_table", full)
    with pytest.raises(RankError, match=r"part-0000\d.parquet: cannot be written .*No space left"):
        transform(FG, [path], tmp_path / "out", part_bytes=1)
    assert os.listdir(tmp_path / "out") == [NAME]


def test_the_fingerprint_is_that_of_what_features_depend_on(tmp_path: pathlib.Path):
    (tmp_path / "words.txt").write_text("a\nb\n")
    fg = {"features": [{"feature_name": "f", "vocab_file": "words.txt"}, {"features": [{"vocab_file": "none.txt"}]}]}
    first = fingerprint_of(fg, "std", tmp_path)
    turned = {"features": [{"vocab_file": "words.txt", "feature_name": "f"}, fg["features"][1]]}
    assert fingerprint_of(turned, "std", tmp_path) == first
    assert fingerprint_of(fg, "farm", tmp_path) != first
    assert fingerprint_of({"features": fg["features"][::-1]}, "std", tmp_path) != first
    (tmp_path / "words.txt").write_text("a\nc\n")
    assert fingerprint_of(fg, "std", tmp_path) != first
