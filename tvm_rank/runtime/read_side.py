"""The columns of one side of a request, as Arrow arrays."""

from __future__ import annotations

from typing import Any

from tvm_rank.errors import InputError
from tvm_rank.runtime.columns import as_array, as_columns, find_column


def read_side(table: Any, names: tuple[str, ...], where: str) -> tuple[dict[str, Any], int]:
    """(the named columns as Arrow arrays, rows) of a table; without fields, a table that is not given has one row."""
    if table is None:
        if names:
            raise InputError(f"{where}: not given; it needs the columns {', '.join(names)}")
        return {}, 1
    columns, rows = as_columns(table, where)
    arrays = {name: as_array(find_column(columns, name, where), f"{where} column {name!r}") for name in names}
    if rows is None:
        lengths = [len(array) for array in arrays.values()] or [len(column) for column in columns.values()]
        rows = next((length for length in lengths if length != 1), lengths[0] if lengths else 0)
        if wrong := [f"{name!r} has {len(array)}" for name, array in arrays.items() if len(array) not in (1, rows)]:
            raise InputError(f"{where}: {rows} rows, but {', '.join(wrong)}; give each column as many rows, or one for all")
    return arrays, rows
