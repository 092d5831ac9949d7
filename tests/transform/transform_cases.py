"""The configuration and the rows of the tests of `transform`, and how they are written and read."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tvm_rank.transform.job import Options, Progress, Summary, transform_files

ROWS, GROUP_ROWS = 1000, 300
FG: dict[str, Any] = {
    "reserves": ["user:user_id"],
    "features": [
        {"feature_name": "f_city", "feature_type": "id_feature", "expression": "user:city", "hash_bucket_size": 100, "separator": "|"},
        {"feature_name": "f_first", "feature_type": "id_feature", "expression": "user:city", "hash_bucket_size": 100, "value_dim": 1,
         "default_value": "none"},
        {"feature_name": "f_tags", "feature_type": "id_feature", "expression": "item:tags", "hash_bucket_size": 100, "weighted": True},
        {"feature_name": "f_number", "feature_type": "id_feature", "expression": "item:number", "num_buckets": 500},
        {"feature_name": "f_price", "feature_type": "raw_feature", "expression": "item:price", "default_value": "0.5"},
        {"feature_name": "f_vector", "feature_type": "raw_feature", "expression": "item:vector", "value_dim": 3, "default_value": "1,2,3",
         "separator": ","},
        {"feature_name": "f_level", "feature_type": "raw_feature", "expression": "item:price", "boundaries": [10, 50]},
    ],
}  # fmt: skip


def make_rows(rows: int = ROWS, *, seed: int = 0, bad: tuple[int, ...] = ()) -> pa.Table:
    """Rows for FG; in the rows `bad`, `number` is no integer."""
    rng = np.random.default_rng(seed)
    numbers = ["x" if k in bad else str(number) for k, number in enumerate(rng.integers(0, 600, rows))]
    return pa.table(
        {
            "label": pa.array(rng.integers(0, 2, rows), pa.int8()),
            "user_id": [f"u{k}" for k in rng.integers(0, 50, rows)],
            "unused": pa.array([True] * rows),
            "city": [None if k % 7 == 0 else f"c{k % 13}|é{k % 5}" for k in range(rows)],
            "tags": [["a:0.5", "b:2", "c"][: k % 4] for k in rng.integers(0, 4, rows)],
            "number": numbers,
            "price": pa.array([None if k % 11 == 0 else float(k) for k in rng.integers(0, 100, rows)], pa.float64()),
            "vector": [None if k % 5 == 0 else [float(k), 1.0, -0.0] for k in range(rows)],
        }
    )


def write_arrow(path: pathlib.Path, table: pa.Table, *, stream: bool = False, rows: int = GROUP_ROWS) -> pathlib.Path:
    """The table as an Arrow file, or as a stream."""
    with pa.OSFile(str(path), "wb") as sink, (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def write_parquet(path: pathlib.Path, table: pa.Table, rows: int = GROUP_ROWS) -> pathlib.Path:
    """The table as a Parquet file."""
    pq.write_table(table, path, row_group_size=rows)
    return path


def parts_of(out: pathlib.Path) -> list[pathlib.Path]:
    """The output files, in order."""
    return sorted(out.glob("*.parquet"))


def read_out(out: pathlib.Path) -> pa.Table:
    """All rows of an output folder, in order."""
    return pa.concat_tables([pq.ParquetFile(path).read() for path in parts_of(out)]).combine_chunks()


def transform(
    fg: Any,
    inputs: Sequence[pathlib.Path],
    out: pathlib.Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Summary:
    """`transform_files` with the options by name."""
    return transform_files(fg, inputs, out, Options(**{name: _frozen(value) for name, value in options.items()}), progress)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
