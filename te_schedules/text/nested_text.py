"""The usual form of a nested map's text, `cat^item:val,item:val|cat2^item:val` with every part there and no blanks, delimiter by delimiter.

The delimiters of 32 bytes are found at once, as bits; other forms are left to `nested_rows.py`, which knows what they mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.text import digest
from te_schedules.tokens import Text

Expr = Any
BLOCK = 32  # bytes
CATEGORY, ITEM, VALUE = range(3)  # what comes next


def _is(byte: int, name: str) -> str:
    return f"  %{name} = icmp eq <{BLOCK} x i8> %bytes, <{', '.join([f'i8 {byte}'] * BLOCK)}>"


def _all(byte: int) -> str:
    return f"<{', '.join([f'i8 {byte}'] * BLOCK)}>"


# bits 0 to 31: the delimiters among 32 bytes, bits 32 to 63: the blanks
_LLVM = f"""
declare i64 @llvm.cttz.i64(i64, i1)
define linkonce_odr i64 @rank_lowest_bit(i64 %bits) alwaysinline {{
  %r = call i64 @llvm.cttz.i64(i64 %bits, i1 false) ret i64 %r
}}
define linkonce_odr i64 @rank_nested_marks(i64 %at) alwaysinline {{
  %p = inttoptr i64 %at to ptr
  %bytes = load <{BLOCK} x i8>, ptr %p, align 1
{_is(ord("|"), "bar")}
{_is(ord("^"), "hat")}
{_is(ord(","), "comma")}
{_is(ord(":"), "colon")}
{_is(ord(" "), "space")}
  %less = sub <{BLOCK} x i8> %bytes, {_all(9)}
  %lines = icmp ult <{BLOCK} x i8> %less, {_all(5)}
  %d1 = or <{BLOCK} x i1> %bar, %hat
  %d2 = or <{BLOCK} x i1> %comma, %colon
  %d = or <{BLOCK} x i1> %d1, %d2
  %b = or <{BLOCK} x i1> %space, %lines
  %delimiters = bitcast <{BLOCK} x i1> %d to i32
  %blanks = bitcast <{BLOCK} x i1> %b to i32
  %low = zext i32 %delimiters to i64
  %high = zext i32 %blanks to i64
  %shifted = shl i64 %high, 32
  %r = or i64 %low, %shifted
  ret i64 %r
}}
"""


def functions() -> Any:
    """The frame inside which `marks` and `lowest_bit` can be used."""
    return T.attr(0, "pragma_import_llvm", _LLVM)


def marks(at: Expr) -> Expr:
    """Of the BLOCK bytes at an address: bits 0 to 31 the delimiters, bits 32 to 63 the blanks (int64)."""
    return intrin.let(T.call_extern("int64", "rank_nested_marks", at))


def lowest_bit(bits: Expr) -> Expr:
    """The place of the lowest bit that is 1 (int64)."""
    return T.call_extern("int64", "rank_lowest_bit", bits)


def emit(text: Text, limit: Expr, plain: Any, store: Callable[[Expr, Text, Text, Text], None]) -> None:
    """Emit `store(digest of category, category, item, value)` for each item and set `plain` (a local int32) to 1; or leave it 0 for a text
    of another form, of which some items may have been stored. Bytes are read up to the address `limit`."""
    end = intrin.let(text.address + text.length)
    walk = _Walk(text.address, end, store)
    at = intrin.local("int64", text.address)
    with functions():
        with T.While(T.And(at[0] <= end, walk.going)):
            with T.If(at[0] + T.int64(BLOCK) <= limit):
                with T.Then():
                    _block(at, end, walk)
                with T.Else():
                    walk.stop()
            intrin.assign(at, at[0] + T.int64(BLOCK))
        intrin.assign(plain, T.cast(walk.going, "int32"))


def _block(at: Any, end: Expr, walk: _Walk) -> None:
    """The delimiters of a block; the end of the text is one more."""
    inside = intrin.let(T.min(end - at[0], T.int64(BLOCK)))
    found = marks(at[0])
    kept = intrin.let(T.shift_left(T.int64(1), inside) - T.int64(1))
    with T.If(T.bitwise_and(T.shift_right(found, T.int64(32)), kept) != T.int64(0)), T.Then():
        walk.stop()
    last = T.Select(inside < T.int64(BLOCK), T.shift_left(T.int64(1), inside), T.int64(0))
    bits = intrin.local("int64", T.bitwise_or(T.bitwise_and(found, kept), last))
    with T.While(T.And(bits[0] != T.int64(0), walk.going)):
        walk.delimiter(intrin.let(at[0] + lowest_bit(bits[0])))
        intrin.assign(bits, T.bitwise_and(bits[0], bits[0] - T.int64(1)))


class _Walk:
    """What was read of a text."""

    def __init__(self, begin: Expr, end: Expr, store: Callable):
        self._end, self._store = end, store
        self._begin, self._next, self._going = (
            intrin.local("int64", begin),
            intrin.local("int32", CATEGORY),
            intrin.local("int32", 1),
        )
        self._category, self._item = (tuple(intrin.local("int64", 0) for _ in range(2)) for _ in range(2))
        self._word = intrin.local("int64", 0)

    @property
    def going(self) -> Expr:
        """Condition: the text has the usual form so far."""
        return self._going[0] == T.int32(1)

    def stop(self) -> None:
        """Emit that it has another form."""
        intrin.assign(self._going, 0)

    def delimiter(self, place: Expr) -> None:
        """Emit the end of a part at the address `place`."""
        begin = intrin.let(self._begin[0])
        part = Text(begin, intrin.let(place - begin))
        with T.If(part.length == T.int64(0)), T.Then():
            self.stop()
        byte = intrin.let(T.if_then_else(place < self._end, T.cast(intrin.load("uint8", place), "int32"), T.int32(ord("|"))))
        with T.If(self._next[0] == T.int32(VALUE)):
            with T.Then():
                category, item = (Text(intrin.let(p[0]), intrin.let(n[0])) for p, n in (self._category, self._item))
                self._store(intrin.let(self._word[0]), category, item, part)
                intrin.assign(self._next, T.Select(byte == T.int32(ord(",")), T.int32(ITEM), T.int32(CATEGORY)))
                self._expect(byte, "|,")
            with T.Else(), T.If(self._next[0] == T.int32(ITEM)):
                with T.Then():
                    self._take(self._item, part, VALUE)
                    self._expect(byte, ":")
                with T.Else():
                    self._take(self._category, part, ITEM)
                    self._expect(byte, "^")
                    intrin.assign(self._word, digest.emit(part))
        intrin.assign(self._begin, place + T.int64(1))

    def _take(self, target: tuple[Any, Any], part: Text, following: int) -> None:
        intrin.assign(target[0], part.address)
        intrin.assign(target[1], part.length)
        intrin.assign(self._next, following)

    def _expect(self, byte: Expr, wanted: str) -> None:
        is_one = byte == T.int32(ord(wanted[0]))
        for other in wanted[1:]:
            is_one = T.Or(is_one, byte == T.int32(ord(other)))
        with T.If(T.Not(is_one)), T.Then():
            self.stop()
