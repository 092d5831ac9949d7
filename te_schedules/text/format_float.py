"""The text of a float32, as Arrow's cast to string gives it: the shortest digits that read back.

5.2 -> "5.2"   1 -> "1"   1e9 -> "1000000000"   1e10 -> "1e+10"   1e-6 -> "0.000001"   1e-7 -> "1e-7"   -0.0 -> "-0"   NaN -> "nan"
"""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.intrin import Word
from te_schedules.procedure import Procedure
from te_schedules.text import format_int, shortest_digits

MAX_BYTES = 17  # of a text: -0.0000012345678
ROOM = 40  # bytes that may be overwritten
_FIRST_FIXED, _LAST_FIXED = -5, 10  # where the point stands, from the first digit on, in texts without an exponent
_ZEROS = 0x3030303030303030
_ZERO_POINT = _ZEROS - (ord("0") << 8) + (ord(".") << 8)  # "0.000000"
_INFINITY = 0xFF << 23


def emit(value, out_address):
    """Write the text of `value` (float32) at `out_address` (int64); gives its length (int64). ROOM bytes from there on are overwritten."""
    raw = Word.of(T.reinterpret("uint32", value))
    bits, end = raw & 0x7FFFFFFF, intrin.local("int64", out_address)
    with T.If(T.And(Word(0x7FFFFFFF).less(raw), T.Not(Word(_INFINITY).less(bits)))), T.Then():
        _put(end, "-")
    with T.If(bits.less(_INFINITY)):
        with T.Then(), T.If(bits.equals(0)):
            with T.Then():
                _put(end, "0")
            with T.Else():
                digits, exponent = shortest_digits.emit(bits)
                _write_number(end, digits, exponent)
        with T.Else(), T.If(bits.equals(_INFINITY)):
            with T.Then():
                _put(end, "inf")
            with T.Else():
                _put(end, "nan")
    return T.bind(end[0] - out_address)


def _put(end, text: str) -> None:
    """Append a short text."""
    intrin.store("uint32", end[0], intrin.const(int.from_bytes(text.encode().ljust(4, b"0"), "little"), "uint32"))
    intrin.assign(end, end[0] + T.int64(len(text)))


def _write_number(end, digits, exponent) -> None:
    """Append digits * 10**exponent (locals)."""
    start = T.bind(end[0])
    number = T.bind(Word.let(digits[0]).signed)
    count = format_int.emit(number, start)
    point = T.bind(count + exponent[0])
    is_fixed = T.And(point >= T.int64(_FIRST_FIXED), point <= T.int64(_LAST_FIXED))
    with T.If(is_fixed):
        with T.Then(), T.If(point <= T.int64(0)):
            with T.Then():
                intrin.store("uint64", start, intrin.const(_ZERO_POINT, "uint64"))
                format_int.emit(number, start + T.int64(2) - point)
                intrin.assign(end, start + T.int64(2) - point + count)
            with T.Else(), T.If(point < count):
                with T.Then():
                    _write_pointed(end, start, number, count, point)
                with T.Else():
                    for k in (0, 8):
                        intrin.store("uint64", start + count + T.int64(k), intrin.const(_ZEROS, "uint64"))
                    intrin.assign(end, start + point)
        with T.Else():
            intrin.assign(end, start + count)
            with T.If(count > T.int64(1)), T.Then():
                _write_pointed(end, start, number, count, T.int64(1))
            _put(end, "e")
            with T.If(point > T.int64(0)), T.Then():
                _put(end, "+")
            intrin.assign(end, end[0] + format_int.emit(point - T.int64(1), end[0]))


def _write_pointed(end, start, number, count, point) -> None:
    """Write the digits with a point behind the first `point` of them."""
    format_int.emit(number, start + T.int64(1))
    with T.serial(point) as k:
        intrin.store("uint8", start + k, intrin.load("uint8", start + k + T.int64(1)))
    intrin.store("uint8", start + point, T.uint8(ord(".")))
    intrin.assign(end, start + count + T.int64(1))


def _procedure() -> Procedure:
    def body(value, room) -> None:
        with shortest_digits.table():
            intrin.store("int64", room, emit(value, T.bind(room + T.int64(8))))

    return Procedure("float_text", {"value": "float32", "room": "int64"}, body)


WRITE = _procedure()  # of (value, room): the length (int64) at `room`, the text 8 bytes behind
