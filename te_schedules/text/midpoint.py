"""On which side of the middle between two adjacent doubles a long decimal lies: exact, with whole numbers of up to 2,700 bits.

Needed only when 19 digits leave both doubles possible, so it is written for size and not for speed (about 2 us). With D the digits
as a whole number and the lower double m * 2**e:

    D * 10**k  <=>  (2 m + 1) * 2**(e - 1)    becomes    D * 5**k * 2**a  <=>  (2 m + 1) * 2**b

where a or b is 0, and 5**-k stands on the right if k < 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word

Expr = Any

# The middle of two doubles has at most 767 significant digits, so digits behind the 800th can only break a tie.
MAX_DIGITS = 800
# 10**800 has 2,658 bits. The other side has at most 54 + log2(5**1124) = 2,664: k >= -1124, because the value is above 2**-1076.
# Both sides are about equal once they are scaled.
_LIMBS = 44


@dataclass(frozen=True)
class Decimal:
    """The digits from the first that is not 0 (address `first`) to `end`, perhaps with one point; `count` of them are digits, the
    last has the weight 10**power. All int64 expressions."""

    first: Expr
    end: Expr
    count: Expr
    power: Expr


def emit_is_above(decimal: Decimal, lower: Word):
    """Condition: `decimal` rounds to the double after the one with the bits `lower` (>= 0), and not to that; ties go to even.

    The decimal must lie between these two doubles (the upper may be infinity).
    """
    sides = T.alloc_buffer((2 * _LIMBS,), "uint64", scope=intrin.local_scope())
    sizes = T.alloc_buffer((2,), "int64", scope=intrin.local_scope())
    at = intrin.local("int64", decimal.first)
    used = T.bind(T.min(decimal.count, T.int64(MAX_DIGITS)))
    power = T.bind(decimal.power + decimal.count - used)
    odd_double, binary = _middle(lower)
    twos = T.bind(power - binary)
    with T.serial(T.int64(2)) as side:
        is_left = T.bind(side == T.int64(0))
        base = T.bind(side * T.int64(_LIMBS))
        size = intrin.local("int64", T.Select(is_left, T.int64(0), T.int64(1)))
        T.buffer_store(sides, odd_double.expr, [base])  # on the left, the digits will overwrite it
        digits = intrin.local("int64", T.Select(is_left, used, T.int64(0)))
        fives = intrin.local("int64", T.max(T.Select(is_left, power, -power), T.int64(0)))
        shift = intrin.local("int64", T.max(T.Select(is_left, twos, -twos), T.int64(0)))
        with T.While(digits[0] + fives[0] + shift[0] > T.int64(0)):
            factor, addend = _next_factor(at, digits, fives, shift)
            _multiply_add(sides, base, size, factor, addend)
        T.buffer_store(sizes, size[0], [side])
    order = _compare(sides, sizes)
    with T.If(order[0] == T.int32(0)), T.Then():
        is_odd = T.cast((lower & 1).signed, "int32")
        intrin.assign(order, T.max(is_odd, _has_further_digit(at, decimal.end)))
    return T.bind(order[0] > T.int32(0))


def _middle(lower: Word) -> tuple[Word, Expr]:
    """(2 m + 1, e - 1) of the double m * 2**e with these bits."""
    field = T.bind((lower >> 52).signed)
    hidden = Word.of(T.min(field, T.int64(1))) << 52
    mantissa = (lower & (2**52 - 1)) | hidden
    return mantissa * 2 + 1, T.bind(T.max(field, T.int64(1)) - T.int64(1075 + 1))


def _next_factor(at, digits, fives, shift) -> tuple[Word, Word]:
    """Take up to 18 digits, 26 factors of five or 63 of two: what to multiply by, and what to add."""
    factor, addend = intrin.local("uint64", 1), intrin.local("uint64", 0)

    def scale(by: int, remaining) -> None:
        intrin.assign(factor, (Word.let(factor[0]) * by).expr)
        intrin.assign(remaining, remaining[0] - T.int64(1))

    def fits(limit: int):
        return Word(factor[0]).signed < T.int64(limit)

    def take_digits() -> None:
        with T.While(T.And(digits[0] > T.int64(0), fits(10**18))):
            byte = T.bind(T.cast(intrin.load("uint8", at[0]), "int32"))
            with T.If(byte != T.int32(ord("."))), T.Then():
                intrin.assign(addend, (Word.let(addend[0]) * 10 + Word.of(byte - T.int32(ord("0")))).expr)
                scale(10, digits)
            intrin.assign(at, at[0] + T.int64(1))

    def take_fives() -> None:
        with T.While(T.And(fives[0] > T.int64(0), fits(5**26))):
            scale(5, fives)

    with T.If(digits[0] > T.int64(0)):
        with T.Then():
            take_digits()
        with T.Else(), T.If(fives[0] > T.int64(0)):
            with T.Then():
                take_fives()
            with T.Else():
                step = T.bind(T.min(shift[0], T.int64(63)))
                intrin.assign(factor, (Word(1) << Word.of(step)).expr)
                intrin.assign(shift, shift[0] - step)
    return Word.let(factor[0]), Word.let(addend[0])


def _multiply_add(sides, base, size, factor: Word, addend: Word) -> None:
    """In place: the number of `size` limbs at `base` times `factor`, plus `addend`."""
    carry = intrin.local("uint64", addend.expr)
    with T.serial(size[0]) as k:
        limb = Word.let(sides[base + k])
        low = limb * factor
        total = low + Word.let(carry[0])
        T.buffer_store(sides, total.expr, [base + k])
        intrin.assign(carry, (limb.mulhi(factor) + Word.of(T.cast(total.less(low), "uint64"))).expr)
    with T.If(T.Not(Word.let(carry[0]).equals(0))), T.Then():
        T.buffer_store(sides, carry[0], [base + size[0]])
        intrin.assign(size, size[0] + T.int64(1))


def _compare(sides, sizes):
    """A local int32: -1, 0 or 1 as the left number is smaller, equal or greater. Leading limbs are not 0."""
    order = intrin.local("int32", T.cast(sizes[1] < sizes[0], "int32") - T.cast(sizes[0] < sizes[1], "int32"))
    k = intrin.local("int64", sizes[0] - T.int64(1))
    with T.While(T.And(order[0] == T.int32(0), k[0] >= T.int64(0))):
        left, right = Word.let(sides[k[0]]), Word.let(sides[k[0] + T.int64(_LIMBS)])
        intrin.assign(order, T.cast(right.less(left), "int32") - T.cast(left.less(right), "int32"))
        intrin.assign(k, k[0] - T.int64(1))
    return order


def _has_further_digit(at, end):
    """int32 1 when a byte of [at, end) is a digit other than 0, else 0."""
    found = intrin.local("int32", 0)
    with T.While(T.And(found[0] == T.int32(0), at[0] < end)):
        intrin.assign(found, T.cast(T.cast(intrin.load("uint8", at[0]), "int32") > T.int32(ord("0")), "int32"))
        intrin.assign(at, at[0] + T.int64(1))
    return found[0]
