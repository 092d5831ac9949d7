"""The values of a field in the arena: the arguments of a function's calls.

A procedure gathers them, so that its code stands once in a module, whatever fields and functions there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column import ElementField, Field, Form, Word
from te_schedules.feature import formula
from te_schedules.field_numbers import ENDS
from te_schedules.procedure import Procedure
from te_schedules.text import copy, parse_float, parse_int
from te_schedules.tokens import INT_TEXT_BYTES, Text, for_each_token
from te_schedules.udf import memory, texts
from te_schedules.udf.memory import State

Expr = Any
FEW = 8  # words that a list has room for at first
PAIRS = ("text", "bytes", "texts")  # types of values that are address and length; others are one number
ELEMENT = {"ints": "int", "floats": "float", "bools": "bool"}
INT, FLOAT, BOOL, BYTES, POINTS = range(5)  # what GATHER makes of a value
FORMS = {"int": INT, "float": FLOAT, "bool": BOOL, "text": BYTES, "bytes": BYTES, "texts": POINTS}


@dataclass(frozen=True)
class Values:
    """The values of a parameter, in a list of the arena: texts as address and length, numbers as their bits."""

    kind: str
    items: Expr
    count: Expr
    is_list: bool

    def argument(self, call: Expr) -> list[Expr]:
        """The words that the function takes: all values of a list, or value `call` of several, or the only one."""
        if self.is_list:
            return [self.items]
        words = 2 if self.kind in PAIRS else 1
        index = T.Select(self.count == T.int64(1), T.int64(0), call)
        at = intrin.let(memory.element_address(self.items, index * T.int64(words)))
        bits = [intrin.let(intrin.load("int64", at + T.int64(8 * k))) for k in range(words)]
        return [T.reinterpret("float64", bits[0])] if self.kind == "float" else bits


def gather(state: Expr, words: Expr, row: Expr, splitting: tuple[Expr, Expr], kind: str, *, is_list: bool) -> Values:
    """Emit the values of a row for a parameter of this type; `words` is the address of the field's copied descriptor, `splitting`
    the separator and whether (1) texts must be searched for it.

    Texts drop what is empty or null; numbers are as raw_feature reads them.
    """
    element = ELEMENT.get(kind, kind)
    GATHER.call(state, words, row, *splitting, T.int64(FORMS[element]))
    return Values(element, memory.get(state, State.RESULT), memory.get(state, State.COUNT), is_list)


class _Gathering:
    """One call of GATHER."""

    def __init__(self, state: Expr, words: Expr, row: Expr, separator: Expr, splits: Expr, form: Expr):
        self.state, self.row, self.form = state, row, form
        self.separators = (T.uint8(0x1D), T.cast(separator, "uint8"))

        def word(k: int) -> Expr:
            return intrin.load("int64", words + T.int64(8 * k))

        self.field: Field = ElementField(lambda name: word(int(name)), word(ENDS))
        self.field.splits = T.And(splits != T.int64(0), self.field.is_scalar)
        self.are_texts = intrin.let(T.cast(form >= T.int64(BYTES), "int64")) != T.int64(0)

    def emit(self) -> None:
        """Put each value behind the last."""
        items = memory.new_list(self.state, T.int64(0), T.int64(FEW))
        count = intrin.local("int64", 0)

        def put(*numbers: Expr) -> None:
            for number in numbers:
                memory.APPEND.call(self.state, items, number)
            intrin.assign(count, count[0] + T.int64(1))

        self._each(lambda text: self._put_text(text, put), lambda element: put(self._number(element)))
        with T.If(memory.get(self.state, State.STATUS) != T.int64(0)), T.Then():
            intrin.assign(count, 0)
        intrin.store("int64", items + T.int64(8), count[0])
        memory.put(self.state, State.RESULT, items)
        memory.put(self.state, State.COUNT, count[0])

    def _each(self, on_text: Callable[[Text], None], on_number: Callable[[Expr], None]) -> None:
        """Emit a body for each text, or for each element of a column of numbers that is not read as texts."""
        with T.If(T.Or(self.field.is_text, self.are_texts)):
            with T.Then():
                for_each_token(self.field, self.row, self.separators, lambda text, _element: on_text(text))
            with T.Else():
                first, last = self.field.elements(self.row)
                with T.serial(first, last) as element:
                    on_number(element)

    def _put_text(self, text: Text, put: Callable[..., None]) -> None:
        with T.If(self.are_texts):
            with T.Then():
                self._put_pair(text, put)
            with T.Else():
                put(self._parsed(text))

    def _put_pair(self, text: Text, put: Callable[..., None]) -> None:
        address, length = intrin.local("int64", text.address), intrin.local("int64", text.length)
        with T.If(T.Not(self.field.is_text)), T.Then():  # the digits of an integer lie where the next one's will
            made = memory.take(self.state, T.int64(INT_TEXT_BYTES))
            with T.If(made != T.int64(0)), T.Then():
                copy.emit(text, made)
                intrin.assign(address, made)
        with T.If(self.form == T.int64(POINTS)), T.Then():
            texts.DECODE.call(self.state, address[0], length[0])
            intrin.assign(address, memory.get(self.state, State.RESULT))
            intrin.assign(length, memory.get(self.state, State.COUNT))
        put(address[0], length[0])

    def _parsed(self, text: Text) -> Expr:
        """The bits of the number of a text, 0 when it is none; an integer with a fraction, or beyond int64, by way of its float."""
        valid, value = parse_float.emit(text.address, text.length)
        number = intrin.let(T.if_then_else(valid, value, tirx.const(0.0, "float64")))
        result = intrin.local("int64", T.reinterpret("int64", number))
        with T.If(self.form != T.int64(FLOAT)), T.Then():
            _, whole, in_range = parse_int.emit(text.address, text.length)
            intrin.assign(result, T.if_then_else(in_range, whole, formula.truncated(number)))
        return self._typed(intrin.let(result[0]))

    def _number(self, element: Expr) -> Expr:
        """The bits of an element of numbers; 0 where it is null."""
        field = self.field
        valid = intrin.let(T.cast(field.element_is_valid(element), "int64")) != T.int64(0)
        number = intrin.let(T.if_then_else(valid, field.number(element, "float64"), tirx.const(0.0, "float64")))
        result = intrin.local("int64", T.reinterpret("int64", number))
        with T.If(self.form != T.int64(FLOAT)), T.Then(), T.If(field[Word.FORM] >= T.int64(int(Form.FLOAT32))):
            with T.Then():
                intrin.assign(result, formula.truncated(number))
            with T.Else():
                intrin.assign(result, T.if_then_else(valid, field.number(element, "int64"), T.int64(0)))
        return self._typed(intrin.let(result[0]))

    def _typed(self, bits: Expr) -> Expr:
        is_bool = self.form == T.int64(BOOL)
        return intrin.let(T.if_then_else(is_bool, T.cast(bits != T.int64(0), "int64"), bits))


GATHER = Procedure(
    "rank_udf_gather",
    dict.fromkeys(("state", "words", "row", "separator", "splits", "form"), "int64"),
    lambda **arguments: _Gathering(**arguments).emit(),
)
"""RESULT, COUNT: a list of the values of a row, and how many there are; the list is empty when there is too little memory."""
