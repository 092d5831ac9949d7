"""`tvm-rank transform`: exit statuses, what is printed where, and Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
from typing import Any

import pytest
from transform_cases import make_rows, parts_of, read_out, write_parquet

from tvm_rank.cli import transform as verb
from tvm_rank.cli.main import main
from tvm_rank.transform import job


def call(*arguments: object) -> tuple[int, str, str]:
    """(status, stdout, stderr) of `tvm-rank transform`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["transform", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue()


def test_a_run_says_what_it_wrote(fg_file: pathlib.Path, tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows())
    status, out, err = call(fg_file, path, "-o", tmp_path / "out", "--keep", "label", "--threads", 1)
    assert status == 0
    assert out.startswith("wrote 1,000 rows in 1 part, ")
    assert err == ""  # no terminal, no bar
    assert read_out(tmp_path / "out").column_names[:2] == ["label", "user_id"]
    assert call(fg_file, path, "-o", tmp_path / "quiet", "--quiet") == (0, "", "")


def test_rows_left_out_are_status_1_and_listed(fg_file: pathlib.Path, tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(bad=tuple(range(0, 800, 100))), rows=100)
    errors = tmp_path / "errors.jsonl"
    status, out, err = call(fg_file, path, "-o", tmp_path / "out", "--errors", errors)
    assert status == 1
    assert out.startswith("wrote 200 rows")
    lines = err.splitlines()
    assert lines[0] == "tvm-rank: 8 groups of rows left out:"
    assert lines[1].startswith(f"  {path}, row group 0, feature 'f_number', row 0: num_buckets wants integers")
    assert lines[-1] == f"  ... and 3 more: {errors}"
    entries = [json.loads(line) for line in errors.read_text().splitlines()]
    assert [(entry["group"], entry["feature"], entry["row"]) for entry in entries] == [(k, "f_number", 0) for k in range(8)]


def test_an_interrupt_says_how_to_go_on(fg_file: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    path = write_parquet(tmp_path / "rows.parquet", make_rows())

    def interrupted(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "transform_files", interrupted)
    status, out, err = call(fg_file, path, "-o", tmp_path / "out")
    assert (status, out) == (130, "")
    assert "tvm-rank transform ... --out" in err
    assert "--resume" in err


def test_a_refused_folder_is_status_1(fg_file: pathlib.Path, tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(10))
    assert call(fg_file, path, "-o", tmp_path / "out")[0] == 0
    status, out, err = call(fg_file, path, "-o", tmp_path / "out")
    assert (status, out) == (1, "")
    assert "continue it with --resume, or give another folder" in err
    assert call(fg_file, path, "-o", tmp_path / "out", "--resume")[1].startswith(
        "wrote 10 rows in 1 part, 1 of them by an earlier run"
    )


def test_the_bar_shows_bytes_and_parts(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # for rich, a terminal
    monkeypatch.setenv("COLUMNS", "120")
    with verb._bar(shown=True) as show:
        for done in (0, 50, 100):
            show(job.Progress(done_bytes=done, all_bytes=100, done_parts=done // 50, all_parts=2, rows=done, failed=1))
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "part 2 of 2, 1 left out" in shown.err


def test_only_data_and_the_journal_are_left(fg_file: pathlib.Path, tmp_path: pathlib.Path):
    path = write_parquet(tmp_path / "rows.parquet", make_rows(10))
    call(fg_file, path, "-o", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["_transform.jsonl", *(part.name for part in parts_of(tmp_path / "out"))]
