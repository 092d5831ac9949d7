"""Random columns of sequences: texts with `;` between elements, lists, lists of lists; null, empty, of one element that serves all."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fuzzing import columns as arrow
from fuzzing.types import Columns, batch

Draw = random.Random
DELIMITER = b";"
GROUP = "g"
SAME_COUNTS = ("x1", "x2", "x3")  # formulas want as many values from each: an element of one may not serve others


def sequence_batch(draw: Draw, rows: int) -> Columns:
    """The columns of all configurations, each row a sequence of what a row of `fuzzing.types.batch` is."""
    counts = [draw.choice([0, 1, 1, 2, 3, 3, 40 if draw.randrange(30) == 0 else 4]) for _ in range(rows)]
    total = sum(counts)
    flat = batch(draw, total)
    flat |= {name: arrow.column(draw, total, arrow.TEXT, lambda _r: b"\x1d".join(arrow.entry(draw) for _ in range(draw.randrange(4))))
             for name in ("map", "weights", "pairs")}  # fmt: skip
    return {name: sequences(draw, column, counts, exact=name in SAME_COUNTS) for name, column in flat.items()}


def grouped_batch(draw: Draw, rows: int) -> Columns:
    """The same columns under the name of a group, and plain ones for inputs that a group reads as they are."""
    return batch(draw, rows) | {f"{GROUP}__{name}": column for name, column in sequence_batch(draw, rows).items()}


def sequences(draw: Draw, flat: pa.Array, counts: Sequence[int], *, exact: bool) -> pa.Array:
    """A column whose row r has the next counts[r] rows of `flat` as its elements, now and then only the first of them, or none."""
    kept = [count if exact or draw.randrange(12) else draw.choice([0, min(1, count)]) for count in counts]
    begins = [0, *itertools.accumulate(counts)]
    rows = [range(begin, begin + count) for begin, count in zip(begins, kept, strict=False)]
    picked = flat.take(pa.array([at for row in rows for at in row], pa.int64()))
    is_null = np.array([not row and draw.random() < 0.5 for row in rows])
    if flat.type == arrow.TEXT and draw.random() < 0.5:
        return _joined(picked, [len(row) for row in rows], is_null)
    offsets = pa.array(np.cumsum([0, *(len(row) for row in rows)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, picked, mask=pa.array(is_null))


def _joined(elements: pa.Array, counts: Sequence[int], is_null: np.ndarray) -> pa.Array:
    texts = iter((text or b"").replace(DELIMITER, b"") for text in elements.cast(pa.binary()).to_pylist())
    rows = [DELIMITER.join(itertools.islice(texts, count)) for count in counts]
    return pa.array([None if null else row for row, null in zip(rows, is_null, strict=True)], pa.binary()).view(arrow.TEXT)
