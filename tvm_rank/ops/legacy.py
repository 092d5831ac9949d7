"""Columns as the engine of 2018-2022 reads them (dialect "rtp"): what the references read of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

AS_NUMBERS = ("raw_feature", "expr_feature", "combine_feature")


def legacy_column(column: pa.Array, *, as_text: bool, invalid: tuple[str, ...]) -> pa.Array:
    """The column with nulls for values that stand for nothing: the largest integer of its type, NaN, and the texts `invalid`.

    Integers become int64, and floats text as C prints them with "%.0f" (half to even) if `as_text`. With `invalid`, texts are lists of
    their parts between chr(29). Maps come back as they are.
    """
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    if pa.types.is_map(kind):
        return column
    rows = column.to_pylist()
    if invalid and kind == pa.string() and not pa.types.is_list(column.type):
        rows = [None if row is None else row.split("\x1d") for row in rows]
    target = pa.int64() if pa.types.is_integer(kind) else pa.string() if as_text or kind == pa.string() else kind
    is_list = any(isinstance(row, list) for row in rows) or pa.types.is_list(column.type)
    made = [
        [_value(v, kind, target, invalid) for v in row] if isinstance(row, list) else _value(row, kind, target, invalid)
        for row in rows
    ]
    return pa.array(made, pa.list_(target) if is_list else target)


def _value(value: Any, kind: pa.DataType, target: pa.DataType, invalid: tuple[str, ...]) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if pa.types.is_integer(kind) and value == np.iinfo(kind.to_pandas_dtype()).max:
        return None
    made = f"{value:.0f}" if target == pa.string() and isinstance(value, float) else value
    return None if str(made) in invalid else made
