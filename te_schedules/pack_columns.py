"""rank.pack_columns: the columns of a request, put together in one piece of memory that is copied to a device at once.

Descriptors (`column.py`) hold addresses. This kernel copies what they lead to behind each other, and writes descriptors that lead to
the same bytes on the device. The columns must have passed `check_columns`: sizes are taken from the descriptors.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import BYTES, WORDS, Form, Word
from te_schedules.column_group.kernel import OPERATOR

ALIGN = 16  # bytes
PLACE = ("host", "device", "begin", "rows", "row_map", "device_row_map")

Expr = Any


def prim_func(name: str = "pack_columns"):
    """The kernel: columns (fields, WORDS) int64, place (6,) int64 -> packed (fields, WORDS) int64, end (1,) int64.

    place: addresses of the memory here (0: nothing is copied, only `end` counts) and on the device; where in it to begin, in bytes; rows of
    the kernels; the address of the row map here, which is not copied, and of that on the device. end: the first byte behind.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, "tirx.is_host_func": True, OPERATOR: "rank.pack_columns"})
        handles = [T.arg(f"p_{argument}", T.handle()) for argument in ("columns", "place", "packed", "end")]
        fields = T.int64()
        columns = T.match_buffer(handles[0], (fields, WORDS), "int64", align=8)
        place = T.match_buffer(handles[1], (len(PLACE),), "int64", align=8)
        packed = T.match_buffer(handles[2], (fields, WORDS), "int64", align=8)
        end = T.match_buffer(handles[3], (1,), "int64", align=8)
        with intrin.imports():
            given = {what: intrin.let(place[k]) for k, what in enumerate(PLACE)}
            T.buffer_store(end, given["begin"], [0])
            with T.serial(fields) as f:
                _pack(lambda word: columns[f, int(word)], lambda word, v: T.buffer_store(packed, v, [f, int(word)]), given, end)
    return builder.get()


def _pack(read: Any, write: Any, place: dict[str, Expr], end: Any) -> None:
    """One column."""
    for word in Word:
        write(word, read(word))
    for word, size in _sizes(read).items():
        address = intrin.let(read(word))
        is_shared = T.And(address == place["row_map"], T.bool(word == Word.INDEX))
        with T.If(is_shared):
            with T.Then():
                write(word, T.if_then_else(address == T.int64(0), T.int64(0), place["device_row_map"]))
            with T.Else(), T.If(address != T.int64(0)), T.Then():
                size = intrin.let(size if word != Word.INDEX else place["rows"] * T.int64(4))
                at = intrin.let(end[0])
                with T.If(place["host"] != T.int64(0)), T.Then():
                    intrin.copy(place["host"] + at, address, size)
                write(word, place["device"] + at)
                T.buffer_store(end, (at + size + T.int64(ALIGN - 1)) // T.int64(ALIGN) * T.int64(ALIGN), [0])


def _sizes(read: Any) -> dict[Word, Expr]:
    """The bytes behind each address of a column."""
    rows, elements, inners = (read(word) for word in (Word.ROWS, Word.ELEMENTS, Word.INNERS))
    return {
        Word.INDEX: T.int64(0),  # known where the rows of the kernels are
        Word.VALID: _bitmap(read(Word.VALID_BIT) + rows),
        Word.LIST: _offsets(rows),
        Word.ELEMENT_VALID: _bitmap(read(Word.ELEMENT_BIT) + elements),
        Word.TEXT: _offsets(elements),
        Word.DATA: _values(read, Word.FORM, Word.BYTES, elements),
        Word.WEIGHT: T.Select(
            read(Word.WEIGHT_TEXT) != T.int64(0),
            read(Word.WEIGHT_BYTES),
            _values(read, Word.WEIGHT_FORM, Word.WEIGHT_BYTES, elements),
        ),
        Word.WEIGHT_VALID: _bitmap(read(Word.WEIGHT_BIT) + elements),
        Word.WEIGHT_TEXT: _offsets(elements),
        Word.OUTER: _offsets(rows),
        Word.INNER: _offsets(inners),
        Word.INNER_VALID: _bitmap(read(Word.INNER_BIT) + inners),
    }


def _bitmap(bits: Expr) -> Expr:
    return (bits + T.int64(7)) // T.int64(8)


def _offsets(count: Expr) -> Expr:
    return (count + T.int64(1)) * T.int64(4)


def _values(read: Any, form: Word, size: Word, count: Expr) -> Expr:
    """The bytes of texts, or of so many numbers."""
    width = T.int64(0)
    for kind, each in BYTES.items():
        width = T.Select(read(form) == T.int64(int(kind)), T.int64(each), width)
    return T.Select(read(form) == T.int64(int(Form.TEXT)), read(size), count * width)
