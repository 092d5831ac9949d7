"""Whether one of two bytes is among many, and where the first of them is."""

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

# 32 bytes at a time, as long as the buffer has them; mostly the first 32 are enough, and only their search is inlined
_FIND = """
declare i32 @llvm.cttz.i32(i32, i1)
declare i64 @llvm.smin.i64(i64, i64)
define linkonce_odr i32 @rank_bytes_mask(i64 %at, i64 %a, i64 %b) alwaysinline {
  %p = inttoptr i64 %at to ptr %x = trunc i64 %a to i8 %y = trunc i64 %b to i8 %bytes = load <32 x i8>, ptr %p, align 1
  %x1 = insertelement <32 x i8> poison, i8 %x, i64 0 %xs = shufflevector <32 x i8> %x1, <32 x i8> poison, <32 x i32> zeroinitializer
  %y1 = insertelement <32 x i8> poison, i8 %y, i64 0 %ys = shufflevector <32 x i8> %y1, <32 x i8> poison, <32 x i32> zeroinitializer
  %is_x = icmp eq <32 x i8> %bytes, %xs %is_y = icmp eq <32 x i8> %bytes, %ys %hits = or <32 x i1> %is_x, %is_y
  %mask = bitcast <32 x i1> %hits to i32 ret i32 %mask
}
define linkonce_odr i64 @rank_find_far(i64 %begin, i64 %end, i64 %limit, i64 %a, i64 %b) noinline {
start: %last = sub i64 %limit, 32 br label %loop
loop: %at = phi i64 [ %begin, %start ], [ %next, %more ] %inside = icmp slt i64 %at, %end %whole = icmp sle i64 %at, %last
  br i1 %inside, label %test, label %none
test: br i1 %whole, label %block, label %bytes
block: %mask = call i32 @rank_bytes_mask(i64 %at, i64 %a, i64 %b) %any = icmp ne i32 %mask, 0 br i1 %any, label %hit, label %more
more: %next = add i64 %at, 32 br label %loop
hit: %k = call i32 @llvm.cttz.i32(i32 %mask, i1 true) %wide = zext i32 %k to i64 %place = add i64 %at, %wide
  %r = call i64 @llvm.smin.i64(i64 %place, i64 %end) ret i64 %r
bytes: %p = inttoptr i64 %at to ptr %byte = load i8, ptr %p, align 1 %x = trunc i64 %a to i8 %y = trunc i64 %b to i8
  %is_x = icmp eq i8 %byte, %x %is_y = icmp eq i8 %byte, %y %is_one = or i1 %is_x, %is_y br i1 %is_one, label %here, label %step
step: %next1 = add i64 %at, 1 br label %tail
tail: %at1 = phi i64 [ %next1, %step ], [ %next2, %step1 ] %inside1 = icmp slt i64 %at1, %end br i1 %inside1, label %test1, label %none
test1: %p1 = inttoptr i64 %at1 to ptr %byte1 = load i8, ptr %p1, align 1 %is_x1 = icmp eq i8 %byte1, %x %is_y1 = icmp eq i8 %byte1, %y
  %is_one1 = or i1 %is_x1, %is_y1 br i1 %is_one1, label %here1, label %step1
step1: %next2 = add i64 %at1, 1 br label %tail
here: ret i64 %at
here1: ret i64 %at1
none: ret i64 %end
}
define linkonce_odr i64 @rank_find(i64 %at, i64 %end, i64 %limit, i64 %a, i64 %b) alwaysinline {
start: %last = sub i64 %limit, 32 %whole = icmp sle i64 %at, %last br i1 %whole, label %block, label %far
block: %mask = call i32 @rank_bytes_mask(i64 %at, i64 %a, i64 %b) %any = icmp ne i32 %mask, 0 %next = add i64 %at, 32
  %done = icmp sge i64 %next, %end %near = or i1 %any, %done br i1 %near, label %hit, label %far
hit: %k = call i32 @llvm.cttz.i32(i32 %mask, i1 false) %wide = zext i32 %k to i64 %place = add i64 %at, %wide
  %r = call i64 @llvm.smin.i64(i64 %place, i64 %end) ret i64 %r
far: %rest = phi i64 [ %at, %start ], [ %next, %block ]
  %f = call i64 @rank_find_far(i64 %rest, i64 %end, i64 %limit, i64 %a, i64 %b) ret i64 %f
}
"""


def find(begin, end, limit, first, second):
    """The address of the first of two bytes (uint8) in [begin, end) (int64 addresses), or `end`. Bytes are read up to `limit`."""
    with T.attr(0, "pragma_import_llvm", _FIND):
        place = T.call_extern("int64", "rank_find", begin, end, limit, T.cast(first, "int64"), T.cast(second, "int64"))
        return intrin.let(place)


def emit(found, begin, end, first, second) -> None:
    """Set `found` (a local int64) to 1 when one of two bytes (uint8) is in [begin, end) (int64 addresses); else it stays as it is."""
    with T.attr(0, "pragma_import_llvm", _HAS_BYTE):
        has_one = T.call_extern("int64", "rank_has_byte", begin, end, T.cast(first, "int64"), T.cast(second, "int64"))
        intrin.assign(found, T.bitwise_or(found[0], has_one))
