"""rank.bind_columns: descriptors of the columns of exported Arrow record batches, without a walk through Python objects.

Arrow's C data interface gives a record batch as a tree of structs. This kernel reads, for each field of a descriptor table, the
struct of its column, and writes what `tvm_rank/runtime/columns.py: descriptor` would write; that function is the definition.
"""

from __future__ import annotations

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import WORDS, Form, Word
from te_schedules.column_group.kernel import OPERATOR

# struct ArrowArray of the C data interface: 64-bit members in this order
LENGTH, NULL_COUNT, OFFSET, _N_BUFFERS, _N_CHILDREN, BUFFERS, CHILDREN = (8 * k for k in range(7))
PLAN = ("source", "child", "form", "is_list", "mapped")  # columns of the plan


def prim_func(name: str = "bind_columns"):
    """The kernel: sources (3,) int64, plan (fields, 5) int64 -> words (fields, WORDS) int64.

    sources: addresses of two struct ArrowArray and of an int32 row map · plan: for each field the source of its column, its place
    there (-1: none, all words are 0), its Form, whether it is a list, whether its rows are mapped.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, OPERATOR: "rank.bind_columns"})
        handles = [T.arg(f"p_{argument}", T.handle()) for argument in ("sources", "plan", "words")]
        fields = T.int64()
        sources = T.match_buffer(handles[0], (3,), "int64")
        plan = T.match_buffer(handles[1], (fields, len(PLAN)), "int64")
        words = T.match_buffer(handles[2], (fields, WORDS), "int64")
        with intrin.imports(), T.serial(fields) as f:
            entry = {what: intrin.let(plan[f, k]) for k, what in enumerate(PLAN)}
            _bind(sources, entry, lambda word, value: T.buffer_store(words, value, [f, int(word)]))
    return builder.get()


def _member(struct, offset: int):
    return intrin.let(intrin.load("int64", struct + T.int64(offset)))


def _buffer(struct, k: int):
    """Address of buffer k of an array."""
    return intrin.let(intrin.load("int64", _member(struct, BUFFERS) + T.int64(8 * k)))


def _child(struct, k):
    return intrin.let(intrin.load("int64", _member(struct, CHILDREN) + k * T.int64(8)))


def _nulls(struct):
    """(address of the validity bitmap or 0, offset)."""
    bitmap = _buffer(struct, 0)
    return intrin.let(T.Select(_member(struct, NULL_COUNT) == T.int64(0), T.int64(0), bitmap)), _member(struct, OFFSET)


def _bind(sources, entry: dict, write) -> None:
    for word in Word:
        write(word, T.int64(0))
    with T.If(entry["child"] >= T.int64(0)), T.Then():
        _bind_column(sources, entry, write)


def _bind_column(sources, entry: dict, write) -> None:
    array = _child(intrin.let(sources[entry["source"]]), entry["child"])
    rows = _member(array, LENGTH)
    valid, offset = _nulls(array)
    write(Word.FORM, entry["form"])
    write(Word.STRIDE, T.Select(rows == T.int64(1), T.int64(0), T.int64(1)))
    write(Word.INDEX, T.Select(T.And(entry["mapped"] != T.int64(0), rows != T.int64(1)), sources[2], T.int64(0)))
    write(Word.VALID, valid)
    write(Word.VALID_BIT, T.Select(valid == T.int64(0), T.int64(0), offset))
    write(Word.ROWS, rows)
    with T.If(entry["is_list"] != T.int64(0)):
        with T.Then():
            write(Word.LIST, _buffer(array, 1) + offset * T.int64(4))
            elements = _child(array, T.int64(0))
            valid, bit = _nulls(elements)
            write(Word.ELEMENT_VALID, valid)
            write(Word.ELEMENT_BIT, T.Select(valid == T.int64(0), T.int64(0), bit))
            _bind_elements(elements, entry["form"], write)
        with T.Else():
            _bind_elements(array, entry["form"], write)


def _bind_elements(array, form, write) -> None:
    offset = _member(array, OFFSET)
    length = intrin.let(_member(array, LENGTH))
    write(Word.ELEMENTS, length)
    with T.If(form == T.int64(int(Form.TEXT))):
        with T.Then():
            offsets = intrin.let(_buffer(array, 1) + offset * T.int64(4))
            write(Word.TEXT, offsets)
            # the C data interface does not tell the size of a buffer; `validate` has compared it with the last offset
            last_offset = T.cast(intrin.load("int32", offsets + length * T.int64(4)), "int64")
            write(Word.DATA, _buffer(array, 2))
            write(Word.BYTES, T.if_then_else(length > T.int64(0), last_offset, T.int64(0)))
        with T.Else():
            is_wide = T.Or(form == T.int64(int(Form.INT64)), form == T.int64(int(Form.FLOAT64)))
            write(Word.DATA, _buffer(array, 1) + offset * T.Select(is_wide, T.int64(8), T.int64(4)))
