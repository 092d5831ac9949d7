"""The links of an artifact (`host/link.py`), opened: texts that kernels make, as columns for library calls."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact.store import HOST
from tvm_rank.errors import ArtifactError
from tvm_rank.host.link import KERNELS, ConstantEntry, LinkEntry, ProgramEntry
from tvm_rank.host.stage import ITEM, REQUEST, HostFunctions
from tvm_rank.runtime.chain import text_column
from tvm_rank.runtime.columns import Table
from tvm_rank.runtime.host_columns import open_host, with_columns
from tvm_rank.runtime.library import kernel
from tvm_rank.runtime.program import Constants, FeatureProgram, ProgramPlan, Refusal
from tvm_rank.runtime.read_side import read_side
from tvm_rank.runtime.row_map import RowMap

Columns = Mapping[str, pa.Array]


class Links:
    """The links of an artifact in a folder, with the kernels of its library. Threads may share them.

    Raises ArtifactError when a library that they need is not installed.
    """

    def __init__(self, folder: pathlib.Path, entries: Sequence[LinkEntry], library: Any, threads: int | None = None):
        self._links = [
            (open_host(folder, entry.host_stages), [(p, _opened(folder, p, library, threads)) for p in entry.programs])
            for entry in entries
        ]

    def columns(
        self,
        user: Columns | None,
        items: Columns | None,
        rows: tuple[int, int],
        index: np.ndarray | None,
        where: tuple[str, str] = ("user column", "item column"),
    ) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
        """The columns (of requests, of items) that the last link makes.

        user, items: the columns of each side; of a side that is None, nothing is made · rows: (requests, items) · index: (items,)
        int32, the request of each item; None where one request serves all · where: what columns are called in messages. Raises InputError.
        """
        made: dict[str, dict[str, pa.Array]] = {REQUEST: {}, ITEM: {}}
        sides = {side: columns for side, columns in ((REQUEST, user), (ITEM, items)) if columns is not None}
        places = {REQUEST: where[0], ITEM: where[1]}
        for host, programs in self._links:
            given = {side: _staged(host, {**columns, **made[side]}, side, places[side]) for side, columns in sides.items()}
            made = {REQUEST: {}, ITEM: {}}
            for entry, program in programs:
                if entry.side in given:
                    made[entry.side] |= _texts(entry, program, given, rows, index, where)
        return made[REQUEST], made[ITEM]


def with_link_columns(
    links: Links, user: Any, items: Any, item_request: Any, row_map: RowMap, needed: tuple[Sequence[str], Sequence[str] | None]
) -> tuple[Any, Any]:
    """(user, items) of a request with the columns that the links make of them; tables stay tables.

    needed: the columns that each side must have; None for items of a store, whose columns it has. Raises InputError.
    """
    user_columns, requests = read_side(user, tuple(needed[0]), "user")
    if needed[1] is None:
        made, _ = links.columns(user_columns, None, (requests, 0), None)
        return with_columns(user, made), items
    item_columns, count = read_side(items, tuple(needed[1]), "items")
    index = row_map.index(item_request, requests, count)
    of_user, of_items = links.columns(user_columns, item_columns, (requests, count), index if requests > 1 else None)
    return with_columns(user, of_user), with_columns(items, of_items)


def _staged(host: HostFunctions, columns: dict[str, pa.Array], side: str, where: str) -> dict[str, pa.Array]:
    return columns | host.run(columns.__getitem__, where, side)


def _texts(
    entry: ProgramEntry,
    program: FeatureProgram,
    given: Mapping[str, Columns],
    rows: tuple[int, int],
    index: np.ndarray | None,
    where: tuple[str, str],
) -> dict[str, pa.Array]:
    """The columns that one program makes."""
    table, of_items = Table(entry.fields), entry.side == ITEM
    for k, use in enumerate(entry.fields):
        if use.is_request:
            table.fill(k, given[REQUEST][use.name], rows[0], f"{where[0]} {use.name!r}", index if of_items else None)
        else:
            table.fill(k, given[ITEM][use.name], rows[1], f"{where[1]} {use.name!r}")
    made = program.of_table(table, rows[1] if of_items else rows[0])
    named = zip(entry.texts, entry.columns, entry.single, strict=True)
    return {column: text_column(made[name].texts, single=single) for name, column, single in named}


def _opened(folder: pathlib.Path, entry: ProgramEntry, library: Any, threads: int | None) -> FeatureProgram:
    plan = ProgramPlan(
        uses=entry.fields,
        features=entry.texts,
        ids=(),
        numbers=(),
        texts=tuple((name, False) for name in entry.texts),
        constants={name: vectors(folder, constants) for name, constants in entry.constants.items()},
        refusals={name: tuple(Refusal(feature=f, rule=r) for f, r in pairs) for name, pairs in entry.refusals.items()},
        block_rows=1,  # of what collects ids, which there are none of
    )
    kernels = {name: kernel(library, entry.prefix + name) for name in KERNELS}
    return FeatureProgram(plan, kernels | {"check_columns": kernel(library, "check_columns")}, threads)


def vectors(folder: pathlib.Path, entry: ConstantEntry) -> Constants:
    contents = (folder / HOST / entry.file).read_bytes()
    if len(contents) != entry.size:
        raise ArtifactError(
            f"{folder}: {HOST}/{entry.file} has {len(contents)} bytes, wanted {entry.size}; compile the artifact again"
        )
    ints, floats = 8 * entry.ints, 8 * entry.floats
    return (
        np.frombuffer(contents[:ints], "<i8").copy(),
        np.frombuffer(contents[ints : ints + floats], "<f8").copy(),
        np.frombuffer(contents[ints + floats :], np.uint8).copy(),
    )
