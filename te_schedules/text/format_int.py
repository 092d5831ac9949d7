"""Decimal text of an int64.

The number is cut into groups of eight digits; a group becomes eight bytes at once, by splitting all its fields in two three times
(10,000s, 100s, 10s) with multiplications. The first group drops its leading zeros by a shift.

    -1234567890123 -> "-" · "12345" (of 00012345) · "67890123"
"""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word

MAX_BYTES = 20  # of the text of -2**63
_GROUP = 10**8
_ZEROS = 0x3030303030303030


def emit(value, out_address):
    """Write the decimal text of `value` (int64) at `out_address` (int64); gives its length (int64, 1..20).

    The MAX_BYTES bytes from `out_address` on must be writable: those behind the text may be overwritten, none beyond.
    """
    negative = T.bind(value < T.int64(0))
    bits = Word.of(value)
    number = Word.let(T.Select(negative, (Word(0) - bits).expr, bits.expr))
    with T.If(negative), T.Then():
        intrin.store("uint8", out_address, T.uint8(ord("-")))
    start = T.bind(out_address + T.cast(negative, "int64"))
    end = intrin.local("int64", start)
    with T.If(number.less(_GROUP)):
        with T.Then():
            _write_first(end, number)
        with T.Else():
            upper, lower = _divide(number, _GROUP)
            with T.If(upper.less(_GROUP)):
                with T.Then():
                    _write_first(end, upper)
                with T.Else():
                    top, middle = _divide(upper, _GROUP)
                    _write_first(end, top)
                    _write(end, _digits(middle), T.int64(8))
            _write(end, _digits(lower), T.int64(8))
    return T.bind(end[0] - out_address)


def _divide(number: Word, by: int) -> tuple[Word, Word]:
    quotient = Word.let(T.truncdiv(number.expr, intrin.const(by, "uint64")))
    return quotient, number - quotient * by


def _digits(group: Word) -> Word:
    """Eight digits of a number below 10**8, one a byte, the first in the lowest byte (values 0..9, not yet ASCII)."""
    high = Word.let(T.truncdiv(group.expr, intrin.const(10_000, "uint64")))
    pair = high + ((group - high * 10_000) << 32)  # two fields below 10,000
    hundreds = (pair * 10_486 >> 20) & 0x0000007F0000007F  # x * 10486 >> 20 == x // 100 for x < 10,000
    four = hundreds + ((pair - hundreds * 100) << 16)  # four fields below 100
    tens = (four * 103 >> 10) & 0x000F000F000F000F  # x * 103 >> 10 == x // 10 for x < 100
    return tens + ((four - tens * 10) << 8)


def _write(end, digits: Word, count) -> None:
    intrin.store("uint64", end[0], (digits | _ZEROS).expr)
    intrin.assign(end, end[0] + count)


def _write_first(end, group: Word) -> None:
    """Write a group without its leading zeros (0 as one digit); eight bytes are stored whatever the length."""
    digits = _digits(group)
    marked = digits | (1 << 56)  # the last digit always stays; an odd mark changes no trailing zeros below it
    lowest = marked & (Word(0) - marked)
    zero_bytes = (Word(63) - lowest.clz()) >> 3
    _write(end, digits >> (zero_bytes << 3), T.int64(8) - zero_bytes.signed)
