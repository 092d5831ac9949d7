"""Sequences: the reference of a feature type over the elements of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Feature
from tvm_rank.errors import InputError
from tvm_rank.ops.reference import row_in
from tvm_rank.ops.references import REFERENCES
from tvm_rank.output import FeatureOutput


def reference(feature: Feature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """What the type's reference says of all elements of all rows, as if each were a row, and how many elements each row has.

        "a;b" · null · "c"   ->   the rows "a" "b" null "c"   ->   values [id(a) id(b) id(default) id(c)]   lengths [2 1 1]

    Elements are those of a list (also of a list of lists), the parts of a text between the delimiter bytes, empty ones too, or a number
    itself; null, "" and [] have none. The first `length` are kept. A row has as many as its longest input, at least one. An input with
    one element serves all of the row, one without leaves them missing, an input that is no sequence serves all elements of its row.

    Ids: values, `lengths` = elements of each row, `key_lengths` = ids of each element. Numbers: dense (elements, width) and `lengths`.
    Raises InputError when the inputs of a row have other counts, and what the type's reference raises.
    """
    spec = feature.sequence
    assert spec is not None, "a feature of a sequence"
    parts = [
        [_elements(column, row_in(column, row), spec.delimiter, spec.length) if splits else None for row in range(rows)]
        for column, splits in zip(columns, spec.splits, strict=True)
    ]
    counts = [max([1, *(len(part[row]) for part in parts if part[row] is not None)]) for row in range(rows)]  # type: ignore[arg-type]
    for row in range(rows):
        if any(part[row] is not None and len(part[row]) not in (0, 1, counts[row]) for part in parts):  # type: ignore[arg-type]
            raise InputError(f"feature {feature.name!r}, row {row}: its inputs have different numbers of elements")
    flat = [_flat(column, part, counts) for column, part in zip(columns, parts, strict=True)]
    output = REFERENCES[feature.stem](replace(feature, sequence=None), flat, sum(counts), hash_function)
    lengths = np.array(counts, np.int32)
    return replace(output, lengths=lengths, key_lengths=output.lengths)


def _elements(column: pa.Array, at: int, delimiter: str, length: int) -> list[int | bytes]:
    """The elements of a row: texts of a text, or places in the child column (the row itself for a number)."""
    if not column[at].is_valid:
        return []
    found: list[int | bytes]
    if pa.types.is_list(column.type):
        found = list(range(column.offsets[at].as_py(), column.offsets[at + 1].as_py()))
    elif column.type == pa.string():
        text = column.slice(at, 1).cast(pa.binary())[0].as_py()
        found = text.split(delimiter.encode()) if text else []
    else:
        found = [at]
    return found[: length or None]


def _flat(column: pa.Array, parts: Sequence[list[int | bytes] | None], counts: Sequence[int]) -> pa.Array:
    """The column with a row for each element."""
    picked: list[int | bytes | None] = []
    for row, (part, count) in enumerate(zip(parts, counts, strict=True)):
        if part is None:
            picked += [row_in(column, row)] * count
        else:
            picked += (part if len(part) == count else part * count) or [None] * count
    if column.type == pa.string() and all(part is not None for part in parts):
        return pa.array(picked, pa.binary()).view(pa.string())
    source = column.values if pa.types.is_list(column.type) and all(part is not None for part in parts) else column
    return source.take(pa.array(picked, pa.int64()))
