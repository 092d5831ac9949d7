"""How a kernel sees an Arrow column: one row of WORDS int64 words, so that one kernel can loop over many columns without copies.

The descriptor table of a call is an int64 tensor (fields, WORDS). `tvm_rank/runtime/columns.py` fills it from Arrow arrays; the
addresses are those of Arrow's own buffers, already moved to the first row of a slice.

    scalar column      row r                      -> element r
    list column        LIST = [0 2 2 3]           -> row 0: elements 0, 1 · row 1: none · row 2: element 2
    text element       TEXT = [0 3 3 8]           -> element 0: bytes 0..3 · element 1: empty · element 2: bytes 3..8

Features that other features read leave their values in scratch memory, under descriptors of the same form. The elements of sequences
are read as rows (`ElementField`): OUTER and INNER are for them alone.

    nested list        OUTER = [0 2 3]            -> row 0: sequence elements 0, 1 · row 1: sequence element 2
                       INNER = [0 2 2 3]          -> sequence element 0: values 0, 1 · 1: none · 2: value 2
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

WORDS = 24
Expr = Any


class Word(IntEnum):
    """What each word of a descriptor holds; an address is 0 when the column has no such buffer."""

    FORM = 0  # element type, see Form
    STRIDE = 1  # 1, or 0 when the column's single row serves all rows; of a field in records, how far they are apart
    INDEX = 2  # address of an int32 map from kernel row to column row
    VALID = 3  # address of the row validity bitmap, and
    VALID_BIT = 4  # the bit of row 0 in it
    LIST = 5  # address of the int32 list offsets; 0 for a scalar column
    ELEMENT_VALID = 6  # address of the element validity bitmap of a list column, and
    ELEMENT_BIT = 7  # the bit of element 0 in it
    TEXT = 8  # address of the int32 text offsets; 0 for numbers
    DATA = 9  # address of the text bytes, or of element 0
    WEIGHT = 10  # address of weight 0 (values of a map column; of their bytes when they are texts), and
    WEIGHT_FORM = 11  # its element type,
    WEIGHT_VALID = 12  # address of its validity bitmap,
    WEIGHT_BIT = 13  # and the bit of weight 0 in it
    ROWS = 14  # rows of the column
    ELEMENTS = 15  # elements of the column: no list offset may lead beyond
    BYTES = 16  # text bytes behind DATA: no text offset may lead beyond
    WEIGHT_TEXT = 17  # address of the int32 text offsets of a map column's values, whose bytes are behind WEIGHT; 0 for numbers
    WEIGHT_BYTES = 18  # text bytes behind WEIGHT: no such offset may lead beyond
    OUTER = 19  # address of the int32 offsets from row to sequence element, where LIST does not say it; else 0
    INNER = 20  # address of the int32 offsets from sequence element to value; 0 when an element is one value
    INNER_VALID = 21  # address of the validity bitmap of the inner lists, and
    INNER_BIT = 22  # the bit of inner list 0 in it
    INNERS = 23  # inner lists: no outer offset may lead beyond


class Form(IntEnum):
    """Element types of a column."""

    TEXT = 0
    INT32 = 1
    INT64 = 2
    FLOAT32 = 3
    FLOAT64 = 4


DTYPES = {Form.INT32: "int32", Form.INT64: "int64", Form.FLOAT32: "float32", Form.FLOAT64: "float64"}
BYTES = {Form.INT32: 4, Form.INT64: 8, Form.FLOAT32: 4, Form.FLOAT64: 8}


def bit(address, index):
    """Bit `index` of the bitmap at `address` as a condition; true when there is no bitmap."""
    byte = T.cast(intrin.load("uint8", address + T.shift_right(index, T.int64(3))), "int64")
    is_set = T.bitwise_and(T.shift_right(byte, T.bitwise_and(index, T.int64(7))), T.int64(1)) != T.int64(0)
    return T.if_then_else(address == T.int64(0), T.bool(True), is_set)


def load_number(form, address, index, dtype: str):
    """Element `index` of the array of `form` (a run-time Form of numbers) at `address`, converted to `dtype`."""

    def read(kind: Form):
        value = intrin.load(DTYPES[kind], address + index * T.int64(BYTES[kind]))
        # int64 -> float32 in one rounding, as NumPy and C do
        return T.cast(value, dtype)

    result = read(Form.INT32)
    for kind in (Form.INT64, Form.FLOAT32, Form.FLOAT64):
        result = T.if_then_else(form == T.int64(int(kind)), read(kind), result)
    return result


class Field:
    """One column inside a kernel: its descriptor words, read once by `read`, and the walks over rows and elements."""

    def __init__(self, read: Callable[[Word], Expr]):
        self._words: dict[Word, Expr] = {}
        self.splits: Expr = None  # condition: texts must be searched for separators; set by `tokens.find_splits`
        self._read = read
        for word in (Word.FORM, Word.STRIDE, Word.INDEX, Word.VALID, Word.VALID_BIT, Word.LIST, Word.ELEMENT_VALID,
                     Word.ELEMENT_BIT, Word.TEXT, Word.DATA, Word.BYTES):  # fmt: skip
            self[word]

    def __getitem__(self, word: Word):
        """The word, bound where it was first asked for."""
        if word not in self._words:
            self._words[word] = intrin.let(self._read(word))
        return self._words[word]

    @property
    def is_text(self):
        """Condition: the elements are text."""
        return self[Word.FORM] == T.int64(int(Form.TEXT))

    @property
    def is_scalar(self):
        """Condition: one element a row (no list)."""
        return self[Word.LIST] == T.int64(0)

    @property
    def is_mapped(self):
        """Condition: kernel rows are mapped to column rows."""
        return self[Word.INDEX] != T.int64(0)

    def text_range(self, first_row, end_row):
        """(begin, end) addresses of the texts of the rows [first_row, end_row) of a scalar text column that is not mapped."""
        stride, data = self[Word.STRIDE], self[Word.DATA]
        first = T.Select(stride == T.int64(0), T.int64(0), first_row)
        end = T.Select(stride == T.int64(0), T.int64(1), end_row)
        return intrin.let(data + self.text_offset(first)), intrin.let(data + self.text_offset(end))

    def elements(self, row):
        """(first, end) of the elements of kernel row `row`; first == end when the row is null or an empty list."""
        return self._range(row, self[Word.LIST])

    def sequence_elements(self, row):
        """(first, end) of the sequence elements of kernel row `row`: those of OUTER if there is one, else the elements."""
        outer = self[Word.OUTER]
        return self._range(row, intrin.let(T.Select(outer != T.int64(0), outer, self[Word.LIST])))

    def column_row(self, row):
        """The row of the column that serves kernel row `row`."""
        index = self[Word.INDEX]
        mapped = T.if_then_else(index == T.int64(0), row, T.cast(intrin.load("int32", index + row * T.int64(4)), "int64"))
        return intrin.let(mapped * self[Word.STRIDE])

    def row_is_valid(self, at):
        """Condition: the row `at` of the column is not null."""
        return bit(self[Word.VALID], at + self[Word.VALID_BIT])

    def _range(self, row, offsets):
        at = self.column_row(row)
        return self._bounds(at, self.row_is_valid(at), offsets)

    def _bounds(self, at, valid, offsets):
        valid = intrin.let(valid)

        def bound(k: int):
            listed = T.cast(intrin.load("int32", offsets + (at + T.int64(k)) * T.int64(4)), "int64")
            return T.if_then_else(offsets == T.int64(0), at + T.int64(k), listed)

        first = intrin.let(bound(0))
        return first, intrin.let(T.if_then_else(valid, bound(1), first))

    def element_is_valid(self, element):
        """Condition: the element of a list is not null."""
        return bit(self[Word.ELEMENT_VALID], element + self[Word.ELEMENT_BIT])

    def text_offset(self, element):
        """Where the bytes of text element `element` begin, behind DATA; not bound, so that it can stand in a condition."""
        return T.cast(intrin.load("int32", self[Word.TEXT] + element * T.int64(4)), "int64")

    def text(self, element):
        """(first, end) addresses of the bytes of a text element."""
        data = self[Word.DATA]
        first = intrin.let(data + self.text_offset(element))
        return first, intrin.let(data + self.text_end(element))

    @property
    def ends(self):
        """Address of the int32 ends of texts."""
        return self[Word.TEXT] + T.int64(4)

    @property
    def text_limit(self):
        """The address behind the bytes of all texts: up to it, what stands behind a text can be read."""
        return self[Word.DATA] + self[Word.BYTES]

    def text_end(self, element):
        """Where the bytes of text element `element` end, behind DATA; not bound."""
        return self.text_offset(element + T.int64(1))

    def number(self, element, dtype: str):
        """A numeric element, converted to `dtype`."""
        return load_number(self[Word.FORM], self[Word.DATA], element, dtype)

    @property
    def is_map(self):
        """Condition: the column is a map; its elements are keys."""
        return self[Word.WEIGHT] != T.int64(0)

    def item_is_valid(self, element):
        """Condition: the value that a map column gives with its key is not null."""
        return bit(self[Word.WEIGHT_VALID], element + self[Word.WEIGHT_BIT])

    def item_text(self, element):
        """(first, end) addresses of the bytes of a map column's value, when its values are texts (WEIGHT_TEXT is not 0)."""
        data = self[Word.WEIGHT]
        return intrin.let(data + self.item_offset(element)), intrin.let(data + self.item_offset(element + T.int64(1)))

    def item_offset(self, element):
        """Where the bytes of a map column's text value begin, behind WEIGHT; not bound, so that it can stand in a condition."""
        return T.cast(intrin.load("int32", self[Word.WEIGHT_TEXT] + element * T.int64(4)), "int64")

    def item_number(self, element, dtype: str):
        """A map column's value, when its values are numbers, converted to `dtype`."""
        return load_number(self[Word.WEIGHT_FORM], self[Word.WEIGHT], element, dtype)

    def weight(self, element):
        """The float32 weight that a map column gives with its key; 1 where it is null."""
        value = load_number(self[Word.WEIGHT_FORM], self[Word.WEIGHT], element, "float32")
        valid = bit(self[Word.WEIGHT_VALID], element + self[Word.WEIGHT_BIT])
        return T.if_then_else(valid, value, T.float32(1))


class ElementField(Field):
    """A field whose INDEX may lead nowhere (-1: the row is missing), and whose texts need not lie side by side.

    The elements of sequences are read by it as rows. ends: address of the int32 ends of texts, TEXT + 4 where they lie side by side
    """

    def __init__(self, read: Callable[[Word], Expr], ends: Expr):
        super().__init__(read)
        self._ends = intrin.let(ends)

    @property
    def ends(self):
        """Address of the int32 ends of texts."""
        return self._ends

    @property
    def is_mapped(self):
        """Condition: the texts of consecutive rows may lie anywhere."""
        return T.Or(self[Word.INDEX] != T.int64(0), self._ends != self[Word.TEXT] + T.int64(4))

    def _range(self, row, offsets):
        at = self.column_row(row)
        place = intrin.let(T.max(at, T.int64(0)))
        first, end = self._bounds(place, self.row_is_valid(place), offsets)
        return first, intrin.let(T.Select(at < T.int64(0), first, end))

    def text_end(self, element):
        """Where the bytes of text element `element` end, behind DATA; not bound."""
        return T.cast(intrin.load("int32", self._ends + element * T.int64(4)), "int64")


class PlainTexts(Field):
    """A column of texts, one a row, of which none has a separator, and whose kernel rows are its rows: what most columns are.

    Code for such columns alone goes without the questions that others need for each row.
    """

    def __init__(self, field: Field):
        # what is bound here is not bound for `field`, whose other code is in another branch
        super().__init__(lambda word: field._words[word] if word in field._words else field._read(word))
        self.splits = T.bool(False)

    @property
    def is_text(self):
        """True."""
        return T.bool(True)

    @property
    def is_scalar(self):
        """True."""
        return T.bool(True)

    @property
    def is_mapped(self):
        """False."""
        return T.bool(False)


def are_plain_texts(field: Field):
    """Condition: the column may be read as `PlainTexts`. Its `splits` must be set."""
    direct = T.And(field[Word.STRIDE] == T.int64(1), T.Not(field.is_mapped))
    return T.And(T.And(field.is_text, field.is_scalar), T.And(direct, T.Not(field.splits)))
