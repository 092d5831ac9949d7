"""The type that the engine takes for values of another type, as files have them."""

from __future__ import annotations

import pyarrow as pa


def nearest_type(kind: pa.DataType) -> pa.DataType:
    """The accepted type that holds the values of `kind` (large_string -> string, int8 -> int32, ...); `kind` itself when there is none."""
    types = pa.types
    if types.is_dictionary(kind):
        return nearest_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_integer(kind) and kind not in (pa.int32(), pa.int64(), pa.uint64()):
        return pa.int64() if kind == pa.uint32() else pa.int32()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(nearest_type(kind.value_type))
    return kind
