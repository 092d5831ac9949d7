"""AddEntries: one call from columns to scores and one vector of statuses, and no read behind damaged offsets."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from test_lower_columns import ITEM_COLUMNS, ITEM_REQUEST, STACKS, USER_COLUMNS, WIDE, Graph, in_place
from tvm import relax

from relay_passes.add_entries import AddEntries
from relay_passes.lower_columns import LowerColumns
from te_schedules.column import Word
from tvm_rank import pipeline
from tvm_rank.runtime.columns import Table
from tvm_rank.target import resolve


def both_sides(g: Graph) -> list:
    return [*in_place(g), g.lookup("u", WIDE)]


@pytest.fixture(scope="module")
def machine() -> relax.VirtualMachine:
    target = resolve("cpu").tvm_target
    return relax.VirtualMachine(pipeline.build(pipeline.run(Graph().module(both_sides), target), target), tvm.cpu())


def tables() -> list[Table]:
    made = []
    for side, columns, rows in ((True, USER_COLUMNS, 2), (False, ITEM_COLUMNS, 5)):
        table = Table(Graph().fields[side].uses)
        for k, use in enumerate(table.uses):
            table.fill(k, columns[use.name], rows, use.name)
        made.append(table)
    return made


def call(function, columns: list[Table]) -> list[np.ndarray]:
    words = [tvm.runtime.tensor(table.words) for table in columns]
    stacks = [tvm.runtime.tensor(stack) for stack in STACKS.values()]
    return [out.numpy() for out in function(*words, tvm.runtime.ShapeTuple([2, 5]), tvm.runtime.tensor(ITEM_REQUEST), *stacks)]


def test_the_entries_stand_beside_main():
    added = AddEntries()(LowerColumns()(Graph().module(both_sides)))
    functions = {var.name_hint: function for var, function in added.functions_items() if isinstance(function, relax.Function)}
    assert sorted(functions) == ["main", "rank_batches", "rank_columns"]
    main, columns, batches = (functions[name] for name in ("main", "rank_columns", "rank_batches"))
    tvm.ir.assert_structural_equal([p.ty for p in columns.params], [p.ty for p in main.params], map_free_vars=True)
    assert [p.name for p in batches.params][:3] == ["sources", "request_plan", "item_plan"]
    statuses = int(columns.ret_ty.fields[-1].shape.values[0])
    fields = sum(len(Graph().fields[side].uses) for side in (True, False))
    assert statuses == fields + sum(int(ty.shape.values[0]) for ty in main.ret_ty.fields[2:])
    relax.analysis.well_formed(added)  # raises when it is not


def test_the_entry_gives_what_main_gives(machine: relax.VirtualMachine):
    direct, entry = call(machine["main"], tables()), call(machine["rank_columns"], tables())
    for a, b in zip(direct[:2], entry[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not entry[2].any()


@pytest.mark.parametrize("side", [0, 1], ids=["request", "item"])
def test_a_column_with_damaged_offsets_is_marked_and_read_as_missing(machine: relax.VirtualMachine, side: int):
    damaged = tables()
    offsets = np.array([0, 2**30, 2**31 - 1, 5, -7, 9], np.int32)
    damaged[side].words[0, Word.LIST] = offsets.ctypes.data
    out = call(machine["rank_columns"], damaged)
    first = [0, len(damaged[0].uses)][side]
    assert np.flatnonzero(out[2][: len(damaged[0].uses) + len(damaged[1].uses)]).tolist() == [first]
    np.testing.assert_array_equal(out[side], call(machine["rank_columns"], tables())[side])  # the output of the other side
