"""Whether one of two bytes is among many."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

# a loop over pointers, of which LLVM makes vectors; one function, since a kernel searches in many places
_HAS_BYTE = """
define linkonce_odr i64 @rank_has_byte(i64 %begin, i64 %end, i64 %a, i64 %b) noinline {
start: %p = inttoptr i64 %begin to ptr %n = sub i64 %end, %begin %x = trunc i64 %a to i8 %y = trunc i64 %b to i8
  %any = icmp sgt i64 %n, 0 br i1 %any, label %loop, label %done
loop: %k = phi i64 [ 0, %start ], [ %next, %loop ] %before = phi i8 [ 0, %start ], [ %found, %loop ]
  %at = getelementptr i8, ptr %p, i64 %k %byte = load i8, ptr %at, align 1 %is_x = icmp eq i8 %byte, %x
  %is_y = icmp eq i8 %byte, %y %hit = or i1 %is_x, %is_y %bit = zext i1 %hit to i8 %found = or i8 %before, %bit
  %next = add nuw nsw i64 %k, 1 %more = icmp slt i64 %next, %n br i1 %more, label %loop, label %done
done: %r = phi i8 [ 0, %start ], [ %found, %loop ] %wide = zext i8 %r to i64 ret i64 %wide
}
"""


def emit(found, begin, end, first, second) -> None:
    """Set `found` (a local int64) to 1 when one of two bytes (uint8) is in [begin, end) (int64 addresses); else it stays as it is."""
    with T.attr(0, "pragma_import_llvm", _HAS_BYTE):
        has_one = T.call_extern("int64", "rank_has_byte", begin, end, T.cast(first, "int64"), T.cast(second, "int64"))
        intrin.assign(found, T.bitwise_or(found[0], has_one))
