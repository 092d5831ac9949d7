"""What a machine needs to run a recorded feature kernel again: descriptors that lead to its own copy of the request, and tables.

    recorded   words (fields, WORDS)    [ ... place of the texts in the request's bytes, FIRST for the first byte ... ]
    there      columns (fields, WORDS)  [ ... their address ... ]

`pack_columns.py` makes the recorded form. Rows of tables need not travel: how long they take to read does not depend on their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Word
from te_schedules.column_group.kernel import OPERATOR

FIRST = 4096  # the place of the request's first byte: what is less is no place (1: a map has values, which are no bytes)
PLACES = (
    Word.INDEX, Word.VALID, Word.LIST, Word.ELEMENT_VALID, Word.TEXT, Word.DATA, Word.WEIGHT, Word.WEIGHT_VALID, Word.WEIGHT_TEXT,
    Word.OUTER, Word.INNER, Word.INNER_VALID,
)  # fmt: skip
THREADS = 128  # of a block


def place_columns(name: str = "place_columns"):
    """The kernel: memory (bytes,) uint8, words (fields, WORDS) int64 -> columns (fields, WORDS) int64, which lead to `memory`."""
    with _function(name) as builder:
        handles = [T.arg(f"p_{argument}", T.handle()) for argument in ("memory", "words", "columns")]
        fields, size = T.int64(), T.int64()
        memory = T.match_buffer(handles[0], (size,), "uint8", align=1)
        words, columns = (T.match_buffer(handle, (fields, WORDS), "int64", align=8) for handle in handles[1:])

        def put(at) -> None:
            field = intrin.let(T.truncdiv(at, T.int64(WORDS)))
            word = intrin.let(at - field * T.int64(WORDS))
            value = intrin.let(words[field, word])
            mask = T.int64(sum(1 << int(place) for place in PLACES))
            is_place = T.And(T.bitwise_and(T.shift_right(mask, word), T.int64(1)) == T.int64(1), value >= T.int64(FIRST))
            here = intrin.address_of(memory) - T.int64(FIRST)
            T.buffer_store(columns, T.if_then_else(is_place, value + here, value), [field, word])

        _each(fields * T.int64(WORDS), put)
    return builder.get()


def fill_table(rows: int, width: int, dtype: str, name: str):
    """The kernel: -> table (rows, width) of dtype float32, or of uint8 for rows below fp32, with finite numbers that differ from row to row in
    any of the forms of `table_rows.py`."""
    with _function(name) as builder:
        table = T.match_buffer(T.arg("p_table", T.handle()), (rows, width), dtype, align=np.dtype(dtype).itemsize)

        def put(at) -> None:
            row = intrin.let(T.truncdiv(at, T.int64(width)))
            mixed = _mixed(at)
            number = T.cast(mixed + T.int64(0x38), "uint8") if dtype == "uint8" else T.cast(mixed - T.int64(3), dtype)
            T.buffer_store(table, number, [row, at - row * T.int64(width)])

        _each(T.int64(rows * width), put)
    return builder.get()


def _mixed(at):
    """0 to 7, with no pattern that rows could share; what is multiplied stays below 2**63."""
    first = intrin.let(T.bitwise_and(at, T.int64(2**28 - 1)) * T.int64(2654435761))
    second = T.bitwise_and(T.bitwise_xor(first, T.shift_right(first, T.int64(15))), T.int64(2**31 - 1)) * T.int64(2246822519)
    return T.bitwise_and(T.shift_right(second, T.int64(13)), T.int64(7))


class _function:
    """A function of this name, which is built inside of `with`."""

    def __init__(self, name: str):
        self._name, self._builder = name, IRBuilder()

    def __enter__(self) -> IRBuilder:
        self._builder.__enter__()
        self._func = T.prim_func(s_tir=True)
        self._func.__enter__()
        T.func_name(self._name)
        T.func_attr({"global_symbol": self._name, "tirx.noalias": True, OPERATOR: "rank.replay"})
        return self._builder

    def __exit__(self, *error: Any) -> None:
        self._func.__exit__(*error)
        self._builder.__exit__(*error)


def _each(count, put: Callable[[Any], None]) -> None:
    """`put(at)` for each number below `count` (int64): a thread of a GPU for each, or a loop."""
    if not intrin.on_gpu():
        with T.serial(count) as at, intrin.imports():
            put(at)
        return
    size = T.int64(THREADS)
    with (
        T.thread_binding((count + size - T.int64(1)) // size, "blockIdx.x") as group,
        T.thread_binding(size, "threadIdx.x") as thread,
        intrin.imports(),
    ):
        at = intrin.let(group * size + thread)
        with T.If(at < count), T.Then():
            put(at)
