"""Decimals of at most eight bytes to float64, eight texts at a time: `short_decimal.py` as vectors.

Each text is one lane: its bytes in one word, read with what follows it and cut off; the sign taken off; the first point found as a zero
byte and taken out; the digits moved to the end of the word, checked, and made one number; divided by a power of ten. Texts of another
form are marked, and so are eight texts when behind one of them the buffer has no eight bytes, since nothing is read outside of it.

It is LLVM because TVM gives every sum of integers the flag that it does not overflow, which here most do.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.text import digits

Expr = Any
GROUP = 8  # texts
LONGEST = 8  # bytes


def _all(value: int, dtype: str = "i64") -> str:
    value = value - 2**64 if value >= 2**63 else value
    return f"<{', '.join([f'{dtype} {value}'] * GROUP)}>"


def _bytes(byte: int) -> str:
    return _all(int.from_bytes(bytes([byte] * 8), "little"))


def _doubles(value: float) -> str:
    return f"<{', '.join([f'double {value:e}'] * GROUP)}>"


def _words() -> str:
    """Lines that load the first eight bytes of the texts at 32-bit places, one by one: gathering instructions take several times as long
    where the machine guards them. A place is loaded sooner than it is taken out of a vector, which LLVM would do but for `volatile`."""
    lines, before = [], "poison"
    for k in range(GROUP):
        after = f"%raw.{k}" if k < GROUP - 1 else "%raw"
        lines += [
            f"  %first.p{k} = getelementptr i32, ptr %b.at, i64 {k}",
            f"  %first.i{k} = load volatile i32, ptr %first.p{k}, align 1",
            f"  %first.x{k} = sext i32 %first.i{k} to i64",
            f"  %raw.p{k} = getelementptr i8, ptr %texts, i64 %first.x{k}",
            f"  %raw.x{k} = load i64, ptr %raw.p{k}, align 1",
            f"  {after} = insertelement <8 x i64> {before}, i64 %raw.x{k}, i64 {k}",
        ]
        before = after
    return "\n".join(lines)


def _power() -> tuple[str, str]:
    """Lines that make ten to the power of a number below eight, bit by bit, exact at each step; and the name of the result."""
    lines, before = [], ""
    for bit in range(3):
        kept = f"%power.{bit}"
        lines += [
            f"  {kept}a = and <8 x i64> %power, {_all(1 << bit)}",
            f"  {kept}b = icmp eq <8 x i64> {kept}a, zeroinitializer",
            f"  {kept}c = select <8 x i1> {kept}b, <8 x double> {_doubles(1.0)}, <8 x double> {_doubles(10.0 ** (1 << bit))}",
        ]
        if before:
            lines.append(f"  {kept}d = fmul <8 x double> {before}, {kept}c")
        before = f"{kept}d" if before else f"{kept}c"
    return "\n".join(lines), before


_POWER_LINES, _DIVISOR = _power()
_LLVM = f"""
declare <8 x i64> @llvm.ctlz.v8i64(<8 x i64>, i1)
define linkonce_odr void @rank_decimals(i64 %begins, i64 %ends, i64 %data, i64 %size, i64 %groups, i64 %out, i64 %marks) noinline {{
start:
  %b = inttoptr i64 %begins to ptr
  %e = inttoptr i64 %ends to ptr
  %texts = inttoptr i64 %data to ptr
  %o = inttoptr i64 %out to ptr
  %m = inttoptr i64 %marks to ptr
  %last = sub i64 %size, 8
  %last1 = insertelement <8 x i64> poison, i64 %last, i64 0
  %lasts = shufflevector <8 x i64> %last1, <8 x i64> poison, <8 x i32> zeroinitializer
  %any = icmp sgt i64 %groups, 0
  br i1 %any, label %loop, label %done
loop:
  %g = phi i64 [ 0, %start ], [ %next, %latch ]
  %at = shl i64 %g, 3
  %b.at = getelementptr i32, ptr %b, i64 %at
  %e.at = getelementptr i32, ptr %e, i64 %at
  %b32 = load <8 x i32>, ptr %b.at, align 1
  %e32 = load <8 x i32>, ptr %e.at, align 1
  %first = sext <8 x i32> %b32 to <8 x i64>
  %n32 = sub <8 x i32> %e32, %b32
  %n = sext <8 x i32> %n32 to <8 x i64>
  %outside = icmp sgt <8 x i64> %first, %lasts
  %outsides = bitcast <8 x i1> %outside to i8
  %inside = icmp eq i8 %outsides, 0
  %m.at = getelementptr i8, ptr %m, i64 %at
  br i1 %inside, label %read, label %skip
skip:
  store <8 x i8> {_all(1, "i8")}, ptr %m.at, align 1
  br label %latch
read:
{_words()}
  %byte = and <8 x i64> %raw, {_all(255)}
  %minus = icmp eq <8 x i64> %byte, {_all(ord("-"))}
  %plus = icmp eq <8 x i64> %byte, {_all(ord("+"))}
  %has.sign = or <8 x i1> %minus, %plus
  %sign = zext <8 x i1> %has.sign to <8 x i64>
  %sign.bits = shl <8 x i64> %sign, {_all(3)}
  %unsigned = lshr <8 x i64> %raw, %sign.bits
  %length = sub <8 x i64> %n, %sign
  %bits = shl <8 x i64> %length, {_all(3)}
  %over = sub <8 x i64> {_all(64)}, %bits
  %over.safe = and <8 x i64> %over, {_all(63)}
  %keep = lshr <8 x i64> {_all(-1)}, %over.safe
  %word = and <8 x i64> %unsigned, %keep
  %x = xor <8 x i64> %word, {_bytes(ord("."))}
  %x.less = sub <8 x i64> %x, {_bytes(1)}
  %x.not = xor <8 x i64> %x, {_all(-1)}
  %t1 = and <8 x i64> %x.less, %x.not
  %points = and <8 x i64> %t1, {_bytes(0x80)}
  %points.less = sub <8 x i64> zeroinitializer, %points
  %point = and <8 x i64> %points, %points.less
  %below = lshr <8 x i64> %point, {_all(7)}
  %front = sub <8 x i64> %below, {_all(1)}
  %behind = xor <8 x i64> %front, {_all(-1)}
  %word.front = and <8 x i64> %word, %front
  %moved = lshr <8 x i64> %word, {_all(8)}
  %word.behind = and <8 x i64> %moved, %behind
  %taken = or <8 x i64> %word.front, %word.behind
  %has.point = icmp ne <8 x i64> %points, zeroinitializer
  %dots = zext <8 x i1> %has.point to <8 x i64>
  %count = sub <8 x i64> %length, %dots
  %count.bits = shl <8 x i64> %count, {_all(3)}
  %shift = sub <8 x i64> {_all(64)}, %count.bits
  %shift.safe = and <8 x i64> %shift, {_all(63)}
  %zeroed = xor <8 x i64> %taken, {_bytes(ord("0"))}
  %values = shl <8 x i64> %zeroed, %shift.safe
  %high = add <8 x i64> %values, {_bytes(0x80 - 10)}
  %wrong1 = or <8 x i64> %values, %high
  %wrong2 = and <8 x i64> %wrong1, {_bytes(0x80)}
  %no.digits = icmp ne <8 x i64> %wrong2, zeroinitializer
  %eight = shl <8 x i64> %values, {_all(3)}
  %two = shl <8 x i64> %values, {_all(1)}
  %ten = add <8 x i64> %eight, %two
  %next.digit = lshr <8 x i64> %values, {_all(8)}
  %pairs = add <8 x i64> %ten, %next.digit
  %four = and <8 x i64> %pairs, {_all(digits.BYTE_PAIRS)}
  %four.halves = bitcast <8 x i64> %four to <32 x i16>
  %hundreds1 = mul <32 x i16> %four.halves, splat (i16 100)
  %hundreds = bitcast <32 x i16> %hundreds1 to <8 x i64>
  %four.next = lshr <8 x i64> %four, {_all(16)}
  %quads1 = add <8 x i64> %hundreds, %four.next
  %quads = and <8 x i64> %quads1, {_all(digits.QUADS)}
  %quads.first = and <8 x i64> %quads, {_all(2**32 - 1)}
  %quads.thousands = mul nuw nsw <8 x i64> %quads.first, {_all(10_000)}
  %quads.last = lshr <8 x i64> %quads, {_all(32)}
  %integer = add <8 x i64> %quads.thousands, %quads.last
  %numerator = sitofp <8 x i64> %integer to <8 x double>
  %zeros = call <8 x i64> @llvm.ctlz.v8i64(<8 x i64> %below, i1 false)
  %top = sub <8 x i64> {_all(63)}, %zeros
  %digits.front = lshr <8 x i64> %top, {_all(3)}
  %digits.behind = sub <8 x i64> %count, %digits.front
  %power1 = select <8 x i1> %has.point, <8 x i64> %digits.behind, <8 x i64> zeroinitializer
  %power = and <8 x i64> %power1, {_all(7)}
{_POWER_LINES}
  %quotient = fdiv <8 x double> %numerator, {_DIVISOR}
  %q.bits = bitcast <8 x double> %quotient to <8 x i64>
  %minus.bit = select <8 x i1> %minus, <8 x i64> {_all(2**63)}, <8 x i64> zeroinitializer
  %result.bits = or <8 x i64> %q.bits, %minus.bit
  %result = bitcast <8 x i64> %result.bits to <8 x double>
  %o.at = getelementptr double, ptr %o, i64 %at
  store <8 x double> %result, ptr %o.at, align 1
  %none = icmp slt <8 x i64> %count, {_all(1)}
  %long = icmp sgt <8 x i64> %n, {_all(8)}
  %bad1 = or <8 x i1> %none, %long
  %bad = or <8 x i1> %bad1, %no.digits
  %mark = zext <8 x i1> %bad to <8 x i8>
  store <8 x i8> %mark, ptr %m.at, align 1
  br label %latch
latch:
  %next = add nuw nsw i64 %g, 1
  %more = icmp slt i64 %next, %groups
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def emit(begins: Expr, ends: Expr, data: Expr, size: Expr, count: Expr, out: Expr, marks: Expr) -> None:
    """Write the float64 of texts to `out`, and a byte to `marks`: 0, or 1 for a text that was not read, whose number is void.

    All are int64: addresses, but for `size` and `count`. Text k lies in [begins[k], ends[k]) (int32) of the `size` bytes at `data`; of the
    `count` texts the last count % GROUP are not read.
    """
    with T.attr(0, "pragma_import_llvm", _LLVM):
        whole = intrin.let(T.Select(size >= T.int64(LONGEST), T.shift_right(count, T.int64(3)), T.int64(0)))
        T.evaluate(T.call_extern("void", "rank_decimals", begins, ends, data, size, whole, out, marks))
        with T.serial(whole * T.int64(GROUP), count) as k:
            T.evaluate(T.call_extern("void", "rank_store_i8", marks + k, T.uint8(1)))
