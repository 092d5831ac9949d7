"""rank.guard_columns: a descriptor table in which every column that `check_columns` marked is replaced by one of missing rows.

So the kernels behind may run whatever the columns were, and the host looks at the marks once, at the end.
"""

from __future__ import annotations

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.column import WORDS, Word
from te_schedules.column_group.kernel import OPERATOR


def prim_func(name: str = "guard_columns"):
    """The kernel: columns (fields, WORDS) int64, status (fields,) int64 -> safe (fields, WORDS) int64.

    The list offsets of a replaced column are two zeros of its own descriptor, for all rows: each row is an empty list.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, OPERATOR: "rank.guard_columns"})
        handles = [T.arg(f"p_{argument}", T.handle()) for argument in ("columns", "status", "safe")]
        fields = T.int64()
        columns = T.match_buffer(handles[0], (fields, WORDS), "int64", align=8)
        status = T.match_buffer(handles[1], (fields,), "int64", align=8)
        safe = T.match_buffer(handles[2], (fields, WORDS), "int64", align=8)
        with T.serial(fields) as f:
            keep = T.bind(T.cast(status[f] == T.int64(0), "int64"))
            with T.serial(T.int64(WORDS)) as word:
                T.buffer_store(safe, columns[f, word] * keep, [f, word])
            with T.If(keep == T.int64(0)), T.Then():
                T.buffer_store(safe, T.reinterpret("int64", T.address_of(safe[f, int(Word.ROWS)])), [f, int(Word.LIST)])
    return builder.get()
