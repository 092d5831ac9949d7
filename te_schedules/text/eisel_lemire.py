"""A decimal w * 10**q with a 64-bit w to the nearest double, by one product with a 128-bit power of five.

D. Lemire, "Number parsing at a gigabyte per second" (2021), with the proof of N. Mushtak and D. Lemire, "Fast number parsing
without fallback" (2022) that 128 bits are always enough. Nothing here depends on the locale or on the rounding mode.
"""

from __future__ import annotations

from functools import cache

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word

INFINITY = 0x7FF << 52
_MIN_POWER, _MAX_POWER = -342, 308  # below, any 64-bit w gives 0; above, infinity
_TABLE = "power_of_five"


@cache
def _powers_of_five() -> tuple[int, ...]:
    """The 128 leading bits of 5**q, upper word first. Cut off, but rounded up for -27 <= q < 0, where ties must come out exact."""
    words = []
    for q in range(_MIN_POWER, _MAX_POWER + 1):
        power = 5 ** abs(q)
        bits = power.bit_length()
        leading = (power << 128 >> bits) if q >= 0 else (1 << 127 + bits) // power + (q >= -27)
        words += [leading >> 64, leading % 2**64]
    return tuple(words)


def table():
    """The frame around the code that calls `emit`."""
    return intrin.table(_TABLE, _powers_of_five())


def emit(significand: Word, power) -> Word:
    """The bits of the double nearest to significand * 10**power (int64), ties to even; INFINITY beyond the largest."""
    bits = intrin.local("uint64", 0)
    nonzero = T.Not(significand.equals(0))
    with T.If(T.And(nonzero, power >= T.int64(_MIN_POWER))), T.Then(), T.If(power > T.int64(_MAX_POWER)):
        with T.Then():
            intrin.assign(bits, intrin.const(INFINITY, "uint64"))
        with T.Else():
            _emit_in_range(bits, significand, power)
    return Word.let(bits[0])


def _emit_in_range(bits, significand: Word, power) -> None:
    leading_zeros = significand.clz()
    upper, lower = _product(significand << leading_zeros, power)
    top = upper >> 63
    shift = top + 9  # leaves 54 bits: the significand and one to round by
    mantissa = upper >> shift
    # floor(log2(10**power)) by a fixed-point logarithm, then IEEE 754's bias
    log2 = T.shift_right(power * T.int64(217_706), T.int64(16)) + T.int64(63 + 1023)
    exponent = T.bind(log2 + top.signed - leading_zeros.signed)
    with T.If(exponent <= T.int64(0)):
        with T.Then():
            # subnormal; a carry into bit 52 makes the smallest normal number, as it should
            lost = T.bind(T.min(T.int64(1) - exponent, T.int64(63)))
            intrin.assign(bits, _rounded(mantissa >> Word.of(lost)).expr)
        with T.Else():
            even = Word.let(T.Select(_is_tie(upper, lower, shift, mantissa, power), (mantissa >> 1 << 1).expr, mantissa.expr))
            # the leading one adds 1 to the exponent field, a carry of the rounding one more
            packed = _rounded(even) + (Word.of(exponent - T.int64(1)) << 52)
            intrin.assign(bits, T.Select(packed.less(INFINITY), packed.expr, intrin.const(INFINITY, "uint64")))


def _product(normalized: Word, power) -> tuple[Word, Word]:
    """The upper and middle word of normalized * 5**power (192 bits)."""
    index = T.bind((power - T.int64(_MIN_POWER)) * T.int64(2))
    high, low = intrin.table_at(_TABLE, index), intrin.table_at(_TABLE, index + T.int64(1))
    middle = normalized * high
    total = middle + normalized.mulhi(low)
    carry = Word.of(T.cast(total.less(middle), "uint64"))
    return normalized.mulhi(high) + carry, total


def _is_tie(upper: Word, lower: Word, shift: Word, mantissa: Word, power):
    """Condition: exactly between two doubles, the lower one even. Only powers -4..23 can give that."""
    possible = T.And(power >= T.int64(-4), power <= T.int64(23))
    exact = T.And(lower.less(2), (mantissa << shift).equals(upper))
    down = (mantissa & 3).equals(1)
    return T.And(T.And(possible, exact), down)


def _rounded(mantissa: Word) -> Word:
    """Drop the last bit; a half goes up."""
    return (mantissa + (mantissa & 1)) >> 1
