"""Columns as the engine of 2018-2022 reads them (dialect "rtp"), before kernels: by Arrow's functions, over whole columns.

More integer types, and values that stand for nothing: the largest integer of a column's type, and NaN. Floats that become text are rounded
to integers, half to even, as C prints them with "%.0f".
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SPLIT = "\x1d"
EXACT = 2.0**63  # float64 below it is printed through int64


def legacy_column(array: pa.Array, *, as_text: bool, invalid: tuple[str, ...] = ()) -> pa.Array:
    """The column with its missing values as nulls, its integers as int64, and its floats as text if `as_text`. `invalid`: texts that are
    missing too; a text is split at chr(29) for it. Other types come back as they are."""
    if pa.types.is_list(array.type):
        whole = pa.concat_arrays([array])  # without an offset
        values = legacy_column(whole.values, as_text=as_text, invalid=invalid)
        return pa.ListArray.from_arrays(whole.offsets, values, mask=whole.is_null() if whole.null_count else None)
    if pa.types.is_integer(array.type):
        limit = np.iinfo(array.type.to_pandas_dtype()).max
        array = _without(array, pc.equal(array, pa.scalar(limit, array.type))).cast(pa.int64())
    elif pa.types.is_floating(array.type):
        array = array.cast(pa.float64()) if array.type == pa.float16() else array
        array = _without(array, pc.is_nan(array))
        array = _rounded_text(array) if as_text else array
    if invalid:
        array = _without_invalid(array, invalid)
    return array


def _without(array: pa.Array, condition: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(condition, False), pa.scalar(None, array.type), array)


def _without_invalid(array: pa.Array, invalid: tuple[str, ...]) -> pa.Array:
    if array.type == pa.string() and pc.any(pc.match_substring(array, SPLIT)).as_py():
        return legacy_column(pc.split_pattern(array, SPLIT), as_text=True, invalid=invalid)
    return _without(array, pc.is_in(array.cast(pa.string()), pa.array(invalid, pa.string())))


def _rounded_text(array: pa.Array) -> pa.Array:
    """As "%.0f" prints floats: 3.9 is 4, -0.2 is -0, infinity is inf."""
    rounded = np.rint(array.fill_null(0.0).to_numpy(zero_copy_only=False).astype(np.float64))
    exact = (np.abs(rounded) < EXACT) & ~((rounded == 0) & np.signbit(rounded))
    texts = pa.array(np.where(exact, rounded, 0).astype(np.int64)).cast(pa.string())
    if not exact.all():
        texts = pa.array(
            [text if ok else f"{value:.0f}" for text, ok, value in zip(texts.to_pylist(), exact, rounded, strict=True)]
        )
    return _without(texts, pc.is_null(array))
