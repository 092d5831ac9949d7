"""What a request asks for, counted from its columns, the configuration and the plan."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tvm_rank.bench.peers.requests import Request
from tvm_rank.bench.results import Kernel, Work
from tvm_rank.config.load import load_config
from tvm_rank.zoo.workload import Workload


def work_of(workload: Workload, requests: Sequence[Request], kernels: Sequence[Kernel]) -> Work:
    """Means over the requests. Values inside of one text are not counted apart, and a cross has as many ids as its fields' values multiply
    to; the operations are those of the engine's kernels, after its passes."""
    embedded = [(f.fields, f.embedding.dim) for f in load_config(workload.features).features if f.embedding is not None]
    rows = moved = columns = 0.0
    for user, items in requests:
        columns += user.nbytes + items.nbytes
        for fields, dim in embedded:
            sides = [items if field.side == "item" else user for field in fields]
            if any(field.name not in side.column_names for field, side in zip(fields, sides, strict=True)):
                continue  # it reads another feature
            counts = [_values(side.column(field.name)) for field, side in zip(fields, sides, strict=True)]
            ids = int(np.sum(functools.reduce(np.multiply, counts))) if counts else 0
            rows, moved = rows + ids, moved + 4 * dim * ids
    count = len(requests)
    flops = sum(kernel.flops for kernel in kernels)
    return Work(flops=flops, table_rows=rows / count, table_bytes=moved / count, column_bytes=columns / count)


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """How many values each row of a column has."""
    if not pa.types.is_list(column.type):
        return column.is_valid().to_numpy().astype(np.int64)
    return pa.compute.list_value_length(column).fill_null(0).to_numpy()
