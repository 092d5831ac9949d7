"""rank.check_columns: every offset of a request's columns leads inside its buffers.

Arrow arrays may come from anywhere (a file, a network, hand-made buffers), and kernels follow offsets without looking. This kernel
looks once, before they run: offsets must not fall, nor begin below 0, nor lead beyond the elements or bytes that are there.
"""

from __future__ import annotations

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Word
from te_schedules.column_group.kernel import OPERATOR

# The loop as LLVM, since LLVM makes vectors of it where the addresses are pointers, and not where they are integers.
_FALLS = """
define linkonce_odr i32 @rank_falls(i64 %address, i64 %count) {
start:
  %offsets = inttoptr i64 %address to ptr
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %loop, label %end
loop:
  %k = phi i64 [ 0, %start ], [ %next, %loop ]
  %before = phi i32 [ 0, %start ], [ %found, %loop ]
  %next = add nuw nsw i64 %k, 1
  %here = getelementptr i32, ptr %offsets, i64 %k
  %there = getelementptr i32, ptr %offsets, i64 %next
  %x = load i32, ptr %here, align 1
  %y = load i32, ptr %there, align 1
  %less = icmp slt i32 %y, %x
  %bit = zext i1 %less to i32
  %found = or i32 %before, %bit
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %end
end:
  %result = phi i32 [ 0, %start ], [ %found, %loop ]
  ret i32 %result
}
"""


def prim_func(name: str = "check_columns"):
    """The kernel: columns (fields, WORDS) int64 -> status (fields,) int64, 1 where an offset is wrong, else 0."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, "tirx.is_host_func": True, OPERATOR: "rank.check_columns"})
        columns_handle, status_handle = T.arg("p_columns", T.handle()), T.arg("p_status", T.handle())
        fields = T.int64()
        columns = T.match_buffer(columns_handle, (fields, WORDS), "int64", align=8)
        status = T.match_buffer(status_handle, (fields,), "int64", align=8)
        with intrin.imports(), T.attr(0, "pragma_import_llvm", _FALLS), T.serial(fields) as f:
            T.buffer_store(status, T.int64(0), [f])
            rows = T.bind(columns[f, int(Word.ROWS)])
            first, end = intrin.local("int64", 0), intrin.local("int64", rows)
            outer, inner = T.bind(columns[f, int(Word.OUTER)]), T.bind(columns[f, int(Word.INNER)])
            with T.If(outer != T.int64(0)), T.Then():
                _enter(status, f, outer, first, end, columns[f, int(Word.INNERS)])
                with T.If(status[f] == T.int64(0)), T.Then():
                    _enter(status, f, inner, first, end, columns[f, int(Word.ELEMENTS)])
            lists = T.bind(columns[f, int(Word.LIST)])
            with T.If(lists != T.int64(0)), T.Then():
                intrin.assign(first, T.cast(intrin.load("int32", lists), "int64"))
                intrin.assign(end, T.cast(intrin.load("int32", lists + rows * T.int64(4)), "int64"))
                _check(status, f, lists, T.int64(0), rows, columns[f, int(Word.ELEMENTS)])
            texts = T.bind(columns[f, int(Word.TEXT)])
            with T.If(T.And(texts != T.int64(0), status[f] == T.int64(0))), T.Then():
                _check(status, f, texts, T.bind(first[0]), T.bind(end[0]), columns[f, int(Word.BYTES)])
            items = T.bind(columns[f, int(Word.WEIGHT_TEXT)])
            with T.If(T.And(items != T.int64(0), status[f] == T.int64(0))), T.Then():
                _check(status, f, items, T.bind(first[0]), T.bind(end[0]), columns[f, int(Word.WEIGHT_BYTES)])
    return builder.get()


def _enter(status, f, offsets, first, end, limit) -> None:
    """Check the offsets of the lists [first, end), and go on with their elements."""
    _check(status, f, offsets, T.bind(first[0]), T.bind(end[0]), limit)
    begin = intrin.let(T.cast(intrin.load("int32", offsets + first[0] * T.int64(4)), "int64"))
    intrin.assign(end, T.cast(intrin.load("int32", offsets + end[0] * T.int64(4)), "int64"))
    intrin.assign(first, begin)


def _check(status, f, offsets, first, end, limit) -> None:
    """Mark field f unless offsets[first .. end] begin at 0 or later, never fall, and end at `limit` or before."""

    def offset(k):
        return T.cast(intrin.load("int32", offsets + k * T.int64(4)), "int64")

    falls = intrin.let(T.call_extern("int32", "rank_falls", offsets + first * T.int64(4), end - first))
    with T.If(T.Or(T.Or(falls != 0, offset(first) < T.int64(0)), offset(end) > limit)), T.Then():
        T.buffer_store(status, T.int64(1), [f])
