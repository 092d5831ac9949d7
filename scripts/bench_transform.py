#!/usr/bin/env python3
"""Time `tvm-rank transform` on rows of mostly ids: Arrow or Parquet files in, Parquet parts out, after the values were checked.

The rows are made here: text ids, integer ids, lists of texts, crosses and numbers. First a sample of rows is compared with the references
(`tvm_rank/ops`), value by value; a difference ends the run with status 1 before anything is timed. Then the whole of `transform` is
timed, reading and writing included, with threads 1 and up, and the steps of one thread alone: reading, kernels, columns, writing.

    python scripts/bench_transform.py                             (a few hundred MB below the folder for temporary files)
    python scripts/bench_transform.py --rows 100000 --features 50 --json result.json

MB/s are 10^6 bytes a second of the columns that are read, as they lie in Arrow's memory, once for a second of the clock and once for a
second of one core's work: other work on the machine takes from the first and hardly from the second. The best of some rounds is given,
and all rounds are in the JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tvm_rank
from tvm_rank.config.load import load_config
from tvm_rank.features import program_of
from tvm_rank.ops.references import reference
from tvm_rank.transform import job, part, plan
from tvm_rank.transform.source import open_source

SHARES = {"text": 0.5, "integer": 0.2, "list": 0.15, "cross": 0.1, "number": 0.05}  # of the features
GROUP_ROWS = 65_536
BUCKETS = 1_000_000
SAMPLE = 200  # rows that are compared with the references


def main() -> int:
    """Make the rows, check, measure, print; 1 when a value differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4 * GROUP_ROWS, help=f"default {4 * GROUP_ROWS}")
    parser.add_argument("--features", type=int, default=100, help="default 100")
    parser.add_argument("--words", type=int, default=100_000, help="distinct texts (default 100,000)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--kind", choices=("arrow", "parquet"), nargs="+", default=["arrow", "parquet"], help="of input files")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    args = parser.parse_args()
    kinds = kinds_of(args.features)
    table, fg = make_columns(kinds, args.rows, args.words), configuration(kinds)
    result: dict[str, Any] = {
        "conditions": conditions(),
        "rows": args.rows,
        "features": {kind: kinds.count(kind) for kind in SHARES},
        "arrow_mb": round(table.nbytes / 1e6, 1),
    }
    config = load_config(fg)
    started = time.perf_counter()
    program = program_of(config, threads=1)
    result["compile_s"] = round(time.perf_counter() - started, 2)
    result["checked_values"], wrong = compare(config, program, table.slice(args.rows // 3, SAMPLE))
    print(json.dumps(result, indent=1), flush=True)
    if wrong:
        print(f"FAILED: {wrong}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(pathlib.Path(folder), table, args.kind)
        result["transform"] = [
            whole(fg, kind, path, pathlib.Path(folder), threads, args.rounds, table.nbytes)
            for kind, path in files.items()
            for threads in args.threads
        ]
        result["steps"] = {kind: steps(program, config, path, pathlib.Path(folder), args.rounds) for kind, path in files.items()}
    result["conditions"]["load_average_after"] = os.getloadavg()[0]
    show(result, table.nbytes)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def conditions() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    names = ("apache-tvm", "apache-tvm-ffi", "numpy", "pyarrow")
    return {
        "cpu": model,
        "usable_cores": sorted(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(),
        "tvm_rank": tvm_rank.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }


def kinds_of(features: int) -> list[str]:
    """The kind of each feature."""
    counts = {kind: round(share * features) for kind, share in SHARES.items()}
    counts["text"] += features - sum(counts.values())
    return [kind for kind, count in counts.items() for _ in range(count)]


def make_columns(kinds: list[str], rows: int, words: int) -> pa.Table:
    """A column for each feature; a cross reads the first two. Texts of 4 to 16 bytes, a tenth of the rows null, lists of 0 to 5."""
    rng = np.random.default_rng(0)
    vocabulary = pa.array(
        [f"{number:0{width}x}" for number, width in zip(rng.integers(0, 2**32, words), rng.integers(4, 17, words), strict=True)]
    )

    def texts(count: int, *, nulls: bool = True) -> pa.Array:
        return vocabulary.take(pa.array(rng.integers(0, words, count), mask=rng.random(count) < 0.1 if nulls else None))

    def column(kind: str) -> pa.Array:
        if kind == "text":
            return texts(rows)
        if kind == "integer":
            return pa.array(rng.integers(0, 2**31, rows))
        if kind == "list":
            offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 6, rows))]).astype(np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), texts(int(offsets[-1]), nulls=False))
        return pa.array(rng.normal(10, 50, rows))

    return pa.table({f"{kind}_{k}": column(kind) for k, kind in enumerate(kinds) if kind != "cross"})


def configuration(kinds: list[str]) -> dict[str, Any]:
    """fg.json: hashed ids, one of a row but in lists; numbers are normalized."""
    one = {"hash_bucket_size": BUCKETS, "value_dim": 1, "default_value": "-"}
    keys = {
        "text": {"feature_type": "id_feature", **one},
        "integer": {"feature_type": "id_feature", **one},
        "list": {"feature_type": "id_feature", "hash_bucket_size": BUCKETS},
        "cross": {"feature_type": "combo_feature", "expression": ["user:text_0", "item:text_1"], **one, "need_prefix": True},
        "number": {"feature_type": "raw_feature", "normalizer": "method=zscore,mean=10,standard_deviation=50"},
    }
    return {
        "features": [{"feature_name": f"f_{k}", "expression": f"item:{kind}_{k}", **keys[kind]} for k, kind in enumerate(kinds)]
    }


def compare(config: Any, program: Any, sample: pa.Table) -> tuple[int, str]:
    """(values compared, the first difference or "") between the program and the references."""
    columns = {name: sample.column(name).combine_chunks() for name in sample.column_names}
    outputs, count = program(columns), 0
    for feature in config.features:
        wanted = reference(feature, [columns[field.name] for field in feature.fields], len(sample), config.hash_function)
        for name in ("values", "lengths", "dense"):
            got, right = getattr(outputs[feature.name], name), getattr(wanted, name)
            if (got is None) != (right is None) or (got is not None and got.tobytes() != right.tobytes()):
                return count, f"{feature.name}.{name} differs from its reference"
            count += 0 if got is None else got.size
    return count, ""


def write_files(folder: pathlib.Path, table: pa.Table, kinds: list[str]) -> dict[str, pathlib.Path]:
    """The table as files of these kinds, in groups of GROUP_ROWS."""
    files = {}
    for kind in kinds:
        files[kind] = folder / f"rows.{kind}"
        if kind == "parquet":
            pq.write_table(table, files[kind], row_group_size=GROUP_ROWS)
        else:
            with pa.OSFile(str(files[kind]), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=GROUP_ROWS)
    return files


def whole(
    fg: Mapping[str, Any], kind: str, path: pathlib.Path, folder: pathlib.Path, threads: int, rounds: int, size: int
) -> dict[str, Any]:
    """Times of `transform_files`, compiling left out, in seconds."""
    config = load_config(fg)
    compiled = program_of(config, threads=1)
    taken, worked = [], []
    with replaced(job, "_compiled", lambda *_arguments: compiled):
        for round_ in range(rounds + 1):
            out = folder / f"out_{kind}_{threads}_{round_}"
            started, busy = time.perf_counter(), time.process_time()
            summary = job.transform_files(fg, [path], out, job.Options(threads=threads, part_bytes=1))
            taken.append(time.perf_counter() - started)
            worked.append(time.process_time() - busy)
            for file in out.iterdir():
                file.unlink()
    return {
        "input": kind,
        "threads": threads,
        "mb_per_s": round(size / min(taken[1:]) / 1e6, 1),  # the first round warms up
        "mb_per_core_second": round(size / min(worked[1:]) / 1e6, 1),
        "core_seconds": [round(seconds, 4) for seconds in worked[1:]],
        "seconds": [round(seconds, 4) for seconds in taken[1:]],
        "output_mb": round(summary.bytes / 1e6, 1),
        "input_file_mb": round(path.stat().st_size / 1e6, 1),
    }


@contextlib.contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """A module with another value under a name."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def steps(program: Any, config: Any, path: pathlib.Path, folder: pathlib.Path, rounds: int) -> dict[str, float]:
    """Seconds of work of each step over all rows on one thread: the medians of the rounds."""
    source, _ = open_source(path)
    settings = plan.plan_settings(
        plan.Configuration(contents={}, config=config, base_dir=folder), out=str(folder), keep=(), lengths=False,
        compression="none", metadata={},
    )  # fmt: skip
    settings = plan.with_reads(settings, program.fields, None)
    times: list[dict[str, float]] = []
    for _ in range(rounds):
        spent: dict[str, float] = {}
        with timed_kernels(program, spent):
            one_round(program, settings, source, folder, spent)
        times.append(spent)
    return {name: round(statistics.median(spent[name] for spent in times), 4) for name in times[0]}


def one_round(program: Any, settings: part.Settings, source: Any, folder: pathlib.Path, spent: dict[str, float]) -> None:
    """Add the seconds of each step to `spent`."""
    reader = part.Reader(settings.columns, settings.batch_rows)
    writer = None

    def measured(name: str, call: Any, *arguments: Any) -> Any:
        started = time.process_time()
        value = call(*arguments)
        spent[name] = spent.get(name, 0.0) + time.process_time() - started
        return value

    for group in range(len(source.group_bytes)):
        batches = reader.batches(source, group)
        while (batch := measured("read", next, batches, None)) is not None:
            given = {name: batch.column(name) for name in settings.reads}
            outputs = measured("program", program, given)
            columns = measured("columns", part.encode, settings.plan, outputs, {}, batch.num_rows)
            made = pa.table(columns)
            writer = writer or pq.ParquetWriter(folder / "steps.parquet", made.schema, **part.write_options(made.schema, settings))
            measured("write", writer.write_table, made)
    if writer is not None:
        measured("write", writer.close)
    reader.close()


@contextlib.contextmanager
def timed_kernels(program: Any, spent: dict[str, float]) -> Iterator[None]:
    """Inside, each kernel of the program adds its seconds to `spent` as `kernel <name>`, which are a part of `program`."""

    def timed(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            started = time.process_time()
            value = function(*arguments)
            spent[f"kernel {name}"] = spent.get(f"kernel {name}", 0.0) + time.process_time() - started
            return value

        return call

    functions = {name: timed(name, function) for name, function in program._functions.items()}
    with replaced(program, "_functions", functions):
        yield


def show(result: Mapping[str, Any], size: int) -> None:
    """The results for a reader."""
    print(f"{result['arrow_mb']} MB of Arrow columns, {result['rows']:,} rows, {sum(result['features'].values())} features")
    for row in result["transform"]:
        print(
            f"{row['input']:8} {row['threads']} thread{'s' if row['threads'] > 1 else ' '}  {row['mb_per_s']:7.1f} MB/s,"
            f" {row['mb_per_core_second']:7.1f} MB in a second of one core"
            f"  ({min(row['seconds']):.3f} s best, {statistics.median(row['seconds']):.3f} s median; file {row['input_file_mb']} MB,"
            f" out {row['output_mb']} MB)"
        )
    for kind, spent in result["steps"].items():
        print(f"steps of {kind}, one thread:")
        for name, seconds in spent.items():
            print(f"  {name:24} {seconds:8.4f} s  {size / seconds / 1e6:9.1f} MB/s")


if __name__ == "__main__":
    sys.exit(main())
