"""rank.read_field: the item fields of a request are rows of the store's columns, found through the row numbers of its items.

Nothing is copied but descriptors: the columns of the store are described once, when an engine is loaded; for a request, each gets the
address of the row numbers as its INDEX.
"""

from __future__ import annotations

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Word
from te_schedules.column_group.kernel import OPERATOR


def prim_func(name: str = "place_fields"):
    """The kernel: given, stored (fields, WORDS) int64, rows (N,) int32 -> placed (fields, WORDS) int64.

    A field that the store has (its ROWS is not 0 there) is the store's, over `rows`, which must live as long as `placed` is used; the others
    are as they were given. One that `guard_columns` has replaced leads to zeros of its own descriptor, so here to those of `placed`: the memory
    of `given` may have become another tensor's before `placed` is read.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, OPERATOR: "rank.read_field", "op_pattern": 8})
        handles = [T.arg(f"p_{argument}", T.handle()) for argument in ("given", "stored", "rows", "placed")]
        fields, count = T.int64(), T.int64()
        given = T.match_buffer(handles[0], (fields, WORDS), "int64", align=8)
        stored = T.match_buffer(handles[1], (fields, WORDS), "int64", align=8)
        rows = T.match_buffer(handles[2], (count,), "int32", align=4)
        placed = T.match_buffer(handles[3], (fields, WORDS), "int64", align=8)
        with T.serial(fields) as f:
            is_stored = intrin.let(stored[f, int(Word.ROWS)] != T.int64(0))
            with T.serial(T.int64(WORDS)) as word:
                T.buffer_store(placed, T.if_then_else(is_stored, stored[f, word], given[f, word]), [f, word])
            with T.If(is_stored), T.Then():
                T.buffer_store(placed, intrin.address_of(rows), [f, int(Word.INDEX)])
            is_replaced = intrin.let(placed[f, int(Word.LIST)] == _zeros(given, f))
            with T.If(is_replaced), T.Then():
                T.buffer_store(placed, _zeros(placed, f), [f, int(Word.LIST)])
    return builder.get()


def _zeros(columns, f):
    """The address of the offsets of a replaced column in its own descriptor (`guard_columns.py`)."""
    return T.reinterpret("int64", T.address_of(columns[f, int(Word.ROWS)]))
