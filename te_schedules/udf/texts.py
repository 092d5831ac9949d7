"""Texts inside of functions: code points side by side (int32), or bytes. Procedures over addresses and counts."""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.procedure import Procedure
from te_schedules.udf.memory import State, Status, get, put, take

Expr = Any
REPLACEMENT = 0xFFFD


def _byte(address: Expr) -> Expr:
    return intrin.let(T.cast(intrin.load("uint8", address), "int64"))


def _emit_decode(state, address, length) -> None:
    out = take(state, length * T.int64(4))
    at, count, end = intrin.local("int64", address), intrin.local("int64", 0), intrin.let(address + length)
    with T.If(out == T.int64(0)), T.Then():
        intrin.assign(at, end)

    def keep(code: Expr) -> None:
        intrin.store("int32", out + count[0] * T.int64(4), code)
        intrin.assign(count, count[0] + T.int64(1))

    with T.While(at[0] < end):
        _emit_ascii(at, count, end, out)
        lead = _byte(at[0])
        intrin.assign(at, at[0] + T.int64(1))
        with T.If(lead < T.int64(0x80)):
            with T.Then():
                keep(lead)
            with T.Else():
                keep(_behind_lead(at, end, lead))
    put(state, State.RESULT, out)
    put(state, State.COUNT, count[0])


def _emit_ascii(at, count, end: Expr, out: Expr) -> None:
    """Emit the copy of ASCII characters, eight at a time; at least one byte is left."""
    go = intrin.local("int64", 1)
    with T.While(T.And(go[0] != T.int64(0), at[0] + T.int64(8) < end)):
        word = intrin.let(intrin.load("int64", at[0]))
        with T.If(T.bitwise_and(word, intrin.const(-0x7F7F7F7F7F7F7F80, "int64")) == T.int64(0)):
            with T.Then():
                for k in range(8):
                    code = T.bitwise_and(T.shift_right(word, T.int64(8 * k)), T.int64(0xFF))
                    intrin.store("int32", out + (count[0] + T.int64(k)) * T.int64(4), code)
                intrin.assign(at, at[0] + T.int64(8))
                intrin.assign(count, count[0] + T.int64(8))
            with T.Else():
                intrin.assign(go, 0)


def _behind_lead(at, end: Expr, lead: Expr) -> Expr:
    """The code point of a lead byte of 0x80 or more; `at` moves behind its bytes, or behind those that could have begun one.

    Unicode's table 3-7: the second byte of E0, ED, F0 and F4 has a narrower range; each wrong part becomes one U+FFFD.
    """
    more = T.Select(lead >= T.int64(0xF0), T.int64(3), T.Select(lead >= T.int64(0xE0), T.int64(2), T.int64(1)))
    wrong = T.Or(lead < T.int64(0xC2), lead > T.int64(0xF4))
    left = intrin.local("int64", T.Select(wrong, T.int64(0), more))
    bits = T.Select(lead >= T.int64(0xF0), T.int64(0x07), T.Select(lead >= T.int64(0xE0), T.int64(0x0F), T.int64(0x1F)))
    code = intrin.local("int64", T.bitwise_and(lead, bits))
    low = intrin.local(
        "int64", T.Select(lead == T.int64(0xE0), T.int64(0xA0), T.Select(lead == T.int64(0xF0), T.int64(0x90), T.int64(0x80)))
    )
    high = intrin.local(
        "int64", T.Select(lead == T.int64(0xED), T.int64(0x9F), T.Select(lead == T.int64(0xF4), T.int64(0x8F), T.int64(0xBF)))
    )
    good = intrin.local("int64", T.cast(T.Not(wrong), "int64"))
    with T.While(T.And(left[0] > T.int64(0), good[0] != T.int64(0))):
        byte = intrin.local("int64", 0)
        with T.If(at[0] < end), T.Then():
            intrin.assign(byte, _byte(at[0]))
        with T.If(T.And(byte[0] >= low[0], byte[0] <= high[0])):
            with T.Then():
                intrin.assign(code, code[0] * T.int64(64) + T.bitwise_and(byte[0], T.int64(0x3F)))
                intrin.assign(at, at[0] + T.int64(1))
                intrin.assign(left, left[0] - T.int64(1))
            with T.Else():
                intrin.assign(good, 0)
        intrin.assign(low, 0x80)
        intrin.assign(high, 0xBF)
    return intrin.let(T.Select(good[0] != T.int64(0), code[0], T.int64(REPLACEMENT)))


DECODE = Procedure("rank_udf_decode", dict.fromkeys(("state", "address", "length"), "int64"), _emit_decode)
"""RESULT, COUNT: the code points of UTF-8; wrong bytes are U+FFFD, as `bytes.decode(errors="replace")` has them."""


def _emit_encode(state, address, count) -> None:
    out = take(state, count * T.int64(4))
    at = intrin.local("int64", out)

    def write(byte: Expr) -> None:
        intrin.store("uint8", at[0], T.cast(byte, "uint8"))
        intrin.assign(at, at[0] + T.int64(1))

    def tail(code: Expr, shift: int) -> None:
        write(T.bitwise_or(T.int64(0x80), T.bitwise_and(T.shift_right(code, T.int64(shift)), T.int64(0x3F))))

    with T.serial(T.if_then_else(out == T.int64(0), T.int64(0), count)) as k:
        code = intrin.let(T.cast(intrin.load("int32", address + k * T.int64(4)), "int64"))
        with T.If(code < T.int64(0x80)):
            with T.Then():
                write(code)
            with T.Else(), T.If(code < T.int64(0x800)):
                with T.Then():
                    write(T.int64(0xC0) + T.shift_right(code, T.int64(6)))
                    tail(code, 0)
                with T.Else(), T.If(code < T.int64(0x10000)):
                    with T.Then():
                        write(T.int64(0xE0) + T.shift_right(code, T.int64(12)))
                        tail(code, 6)
                        tail(code, 0)
                    with T.Else():
                        write(T.int64(0xF0) + T.shift_right(code, T.int64(18)))
                        tail(code, 12)
                        tail(code, 6)
                        tail(code, 0)
    put(state, State.RESULT, out)
    put(state, State.COUNT, at[0] - out)


ENCODE = Procedure("rank_udf_encode", dict.fromkeys(("state", "address", "count"), "int64"), _emit_encode)
"""RESULT, COUNT: the UTF-8 bytes of code points."""


def load(address: Expr, index: Expr, width: int) -> Expr:
    """Element `index` of a text (width 4) or of bytes (width 1), as int64."""
    return T.cast(intrin.load("int32" if width == 4 else "uint8", address + index * T.int64(width)), "int64")


def _emit_compare(state, a, a_count, b, b_count, width) -> None:
    def at(address: Expr, k: Expr) -> Expr:
        wide = T.cast(intrin.load("int32", address + k * T.int64(4)), "int64")
        return T.if_then_else(width == T.int64(4), wide, T.cast(intrin.load("uint8", address + k), "int64"))

    k, found = intrin.local("int64", 0), intrin.local("int64", 0)
    shorter = intrin.let(T.min(a_count, b_count))
    with T.While(T.And(k[0] < shorter, found[0] == T.int64(0))):
        x, y = intrin.let(at(a, k[0])), intrin.let(at(b, k[0]))
        intrin.assign(found, T.Select(x < y, T.int64(-1), T.Select(x > y, T.int64(1), T.int64(0))))
        intrin.assign(k, k[0] + T.int64(1))
    with T.If(found[0] == T.int64(0)), T.Then():
        intrin.assign(found, T.Select(a_count < b_count, T.int64(-1), T.Select(a_count > b_count, T.int64(1), T.int64(0))))
    put(state, State.STEPS, get(state, State.STEPS) - k[0])
    put(state, State.RESULT, found[0])


COMPARE = Procedure("rank_udf_compare", dict.fromkeys(("state", "a", "a_count", "b", "b_count", "width"), "int64"), _emit_compare)
"""RESULT: -1, 0 or 1 as a is before, equal to or behind b, element by element. Its steps are counted."""


def _emit_find(state, whole, count, part, part_count) -> None:
    found, start = intrin.local("int64", -1), intrin.local("int64", 0)
    steps = intrin.local("int64", get(state, State.STEPS))
    with T.While(T.And(T.And(found[0] < T.int64(0), start[0] + part_count <= count), steps[0] >= T.int64(0))):
        k, same = intrin.local("int64", 0), intrin.local("int64", 1)
        with T.While(T.And(same[0] != T.int64(0), k[0] < part_count)):
            differs = load(whole, start[0] + k[0], 4) != load(part, k[0], 4)
            intrin.assign(same, T.if_then_else(differs, T.int64(0), T.int64(1)))
            intrin.assign(k, k[0] + T.int64(1))
        with T.If(same[0] != T.int64(0)), T.Then():
            intrin.assign(found, start[0])
        intrin.assign(start, start[0] + T.int64(1))
        intrin.assign(steps, steps[0] - k[0])
    with T.If(steps[0] < T.int64(0)), T.Then():
        put(state, State.STATUS, T.int64(int(Status.WORK)))
    put(state, State.STEPS, steps[0])
    put(state, State.RESULT, found[0])


FIND = Procedure("rank_udf_find", dict.fromkeys(("state", "whole", "count", "part", "part_count"), "int64"), _emit_find)
"""RESULT: where a text begins in another, -1 if nowhere. Its steps are counted."""


def _emit_has(state, whole, count, item) -> None:
    hits, wanted = intrin.local("int32", 0), intrin.let(T.cast(item, "int32"))
    with T.serial(count) as k:  # without an end before the last, so that it becomes vector instructions
        intrin.assign(hits, T.bitwise_or(hits[0], T.cast(whole[k] == wanted, "int32")))
    put(state, State.RESULT, T.cast(hits[0], "int64"))


HAS = Procedure("rank_udf_has", {"state": "int64", "whole": "int32*", "count": "int64", "item": "int64"}, _emit_has)
"""RESULT: 1 if a code point is among those of a text, else 0."""
