"""The columns of a store: one for each field that kernels read, in the form in which they read it, with one more row for missing items.

The last row is null in every field, so that an item that the store does not have gets the specification's defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from tvm_rank.errors import InputError
from tvm_rank.host.stage import ITEM, HostFunctions
from tvm_rank.runtime.columns import NUMBER, FieldUse, converted, descriptor
from tvm_rank.runtime.links import Links

Progress = Callable[[str], None]


def with_missing_row(array: pa.Array) -> pa.Array:
    """The column with a null behind its last row."""
    return pa.concat_arrays([array, pa.nulls(1, array.type)])


def stored_columns(
    items: Mapping[str, pa.Array], uses: Sequence[FieldUse], links: Links, host: HostFunctions, key: str
) -> tuple[dict[str, pa.Array], tuple[str, ...]]:
    """(columns of the store by name, the name of the column of each use; "" for request fields).

    A column that is read in several forms (a float as number and as text) is stored in each. Raises InputError for a column that a
    feature cannot read.
    """
    extended = {name: with_missing_row(array) for name, array in items.items()}
    rows = len(next(iter(extended.values())))
    extended |= links.columns(None, extended, (1, rows), None, ("user column", "items column"))[1]
    extended |= host.run(extended.__getitem__, "items column", ITEM)
    columns, names = {key: extended[key]}, []
    for use in uses:
        if use.is_request:
            names.append("")
            continue
        where = f"items column {use.name!r}"
        try:
            array = converted(extended[use.name], use, where)
        except pa.ArrowException as error:
            raise InputError(f"{where}: cannot be stored ({error})") from error
        descriptor(array, dataclasses.replace(use, legacy=False), where, [])  # refuses what no kernel reads
        names.append(_enter(columns, use, array))
    return columns, tuple(names)


def _enter(columns: dict[str, pa.Array], use: FieldUse, array: pa.Array) -> str:
    """Enter a column under its name, or with its role where that name has another form of it; gives the name."""
    how = ["", f" as {'number' if use.role == NUMBER else 'text'}", f" as {use.role}, elements {use.elements}, legacy {use.legacy}"]
    for name in (use.name + text for text in how):
        if name not in columns or columns[name].equals(array):
            columns[name] = array
            return name
    raise InputError(f"items column {use.name!r}: is read in more forms than a store keeps; give the features columns of their own")
