"""The elements of sequences as rows: a feature of a sequence is the ordinary kind over them.

For a block of rows, the elements of each input are found and numbered in scratch memory. A row has as many as its longest input, and at
least one: an empty sequence is one missing element, which becomes the default. An input with one element serves all of a row, one
without leaves them missing; another count is refused. Inputs that are no sequences serve all elements of their row.

    row 0: "a;b"  row 1: null  row 2: "c"     elements = [a b | (missing) | c]     starts = [0 2 3 4]

Nothing is copied: an element of a list is known by its number in the child column, a part of a text by its start and end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin, thread_memory
from te_schedules.column import ElementField, Field, Word
from te_schedules.feature.kind import ELEMENTS_RULE

Expr = Any
MOST_LOCAL = 512  # elements whose places lie in the local memory of a GPU's thread


class Elements:
    """The element rows of a block for one column; replaces `scope.fields` by fields over them. `total` is their number."""

    def __init__(self, scope, block, splits: Sequence[bool], most: int):
        """most: elements of a row, in any column of the section."""
        scope.bind("sequence_length", "sequence_delim")
        self._scope, self._block = scope, block
        # a thread of a GPU has one row, and the device's heap is slow; larger rows have their memory from there
        room = max(1, most) if intrin.on_gpu() and most <= MOST_LOCAL else 0
        self._first_row = block.first
        inputs = [(_Split if split else _Whole)(field, scope) for field, split in zip(scope.fields, splits, strict=True)]
        self._starts = _memory(scope, (block.end - block.first + T.int64(1)) * T.int64(8), 2 if room else 0)
        self.total = self._count([source for source in inputs if isinstance(source, _Split)])
        for source in inputs:
            source.take(self.total, scope, room)
        with T.serial(block.first, block.end) as row:
            first, end = self.bounds(row)
            for source in inputs:
                source.fill(row, first, end)
        scope.fields = tuple(source.field() for source in inputs)

    def each(self, row, body: Callable[[Expr], None]) -> None:
        """Emit `body(element)` for the element rows of kernel row `row`, which a refusal names."""
        first, end = self.bounds(row)
        self._scope.outer_row = row
        with T.serial(first, end) as element:
            body(element)

    def bounds(self, row) -> tuple[Expr, Expr]:
        """(first, end) of the element rows of kernel row `row`."""
        at = intrin.let(self._starts + (row - self._first_row) * T.int64(8))
        return intrin.let(intrin.load("int64", at)), intrin.let(intrin.load("int64", at + T.int64(8)))

    def _count(self, sources: Sequence[_Split]) -> Expr:
        """Write the starts; give the number of all elements."""
        total = intrin.local("int64", 0)
        intrin.store("int64", self._starts, T.int64(0))
        with T.serial(self._block.first, self._block.end) as row:
            longest = intrin.local("int64", 1)
            counts = []
            for source in sources:
                counts.append(source.count(row))
                intrin.assign(longest, T.max(longest[0], counts[-1]))
            if len(counts) > 1:
                for count in counts:
                    with T.If(T.And(count > T.int64(1), count != longest[0])), T.Then():
                        self._scope.refuse(row, ELEMENTS_RULE)
            intrin.assign(total, total[0] + longest[0])
            intrin.store("int64", self._starts + (row - self._first_row + T.int64(1)) * T.int64(8), total[0])
        return intrin.let(total[0])


def _memory(scope, size, room: int) -> Expr:
    """The address of `size` bytes (int64): a local array of `room` words, which are enough, or, for 0, memory that is given back at the end."""
    if not room:
        taken = thread_memory.take(size)
        scope.at_end(lambda: thread_memory.give(taken))
        return taken
    words = intrin.array(room, "int64")
    scope.at_end(lambda: intrin.keep(words))
    return intrin.let(intrin.address_of(words))


class _Whole:
    """An input that is no sequence: each element of a row reads the row's value."""

    def __init__(self, field: Field, scope):
        del scope
        self._field = field
        for word in (Word.WEIGHT, Word.WEIGHT_FORM, Word.WEIGHT_VALID, Word.WEIGHT_BIT):
            field[word]

    def take(self, total, scope, room: int) -> None:
        """Take memory for `total` elements, `room` at most, if it is known."""
        self._index = _memory(scope, total * T.int64(4), room)

    def fill(self, row, first, end) -> None:
        """Write the map of the elements [first, end) of a row."""
        at = self._field.column_row(row)
        with T.serial(first, end) as element:
            intrin.store("int32", self._index + element * T.int64(4), at)

    def field(self) -> Field:
        """The field over the elements."""
        return _over(self._field, {}, self._index, self._field.ends)


class _Split:
    """An input with elements: a list, a list of lists, a text of parts, or a number that is one element."""

    def __init__(self, field: Field, scope):
        self._field, self._scope = field, scope
        for word in (Word.OUTER, Word.INNER, Word.INNER_VALID, Word.INNER_BIT):
            field[word]
        listed = T.Or(field[Word.OUTER] != T.int64(0), field[Word.LIST] != T.int64(0))
        self._listed = intrin.let(listed)
        self._is_parts = intrin.let(T.And(field.is_text, T.Not(listed)))
        self._limit = scope.int("sequence_length")

    def _is_delimiter(self, address):
        return T.cast(intrin.load("uint8", address), "int64") == self._scope.int("sequence_delim")

    def count(self, row):
        """The elements of a row, at most `sequence_length`."""
        first, end = self._field.sequence_elements(row)
        count = intrin.local("int64", end - first)
        with T.If(T.And(self._is_parts, first < end)), T.Then():
            start, stop = self._field.text(first)
            at = intrin.local("int64", start)
            intrin.assign(count, T.cast(start < stop, "int64"))
            with T.While(T.And(at[0] < stop, count[0] < self._limit)):
                intrin.assign(count, count[0] + T.cast(self._is_delimiter(at[0]), "int64"))
                intrin.assign(at, at[0] + T.int64(1))
        return intrin.let(T.min(count[0], self._limit))

    def take(self, total, scope, room: int) -> None:
        """Take memory for `total` elements, `room` at most, if it is known: the starts of texts or the map, then the ends of texts."""
        self._index = _memory(scope, total * T.int64(8), room)
        self._ends = intrin.let(self._index + total * T.int64(4))

    def fill(self, row, first, end) -> None:
        """Write what the elements [first, end) of a row are."""
        begin, stop = self._field.sequence_elements(row)
        with T.If(self._is_parts):
            with T.Then():
                self._fill_parts(begin, stop, first, end)
            with T.Else():
                count = intrin.let(stop - begin)
                with T.serial(first, end) as element:
                    k = T.Select(count == T.int64(1), T.int64(0), element - first)
                    number = T.Select(k < count, begin + k, T.int64(-1))
                    intrin.store("int32", self._index + element * T.int64(4), number)

    def _fill_parts(self, begin, stop, first, end) -> None:
        element = intrin.local("int64", first)
        at, until = intrin.local("int64", 0), intrin.local("int64", -1)
        data = self._field[Word.DATA]
        with T.If(begin < stop), T.Then():
            start, finish = self._field.text(begin)
            intrin.assign(at, start)
            intrin.assign(until, T.Select(start < finish, finish, T.int64(-1)))
        with T.While(T.And(at[0] <= until[0], element[0] < end)):
            part = intrin.let(at[0])
            with T.While(T.if_then_else(at[0] < until[0], T.Not(self._is_delimiter(at[0])), T.bool(False))):
                intrin.assign(at, at[0] + T.int64(1))
            self._put(element[0], part - data, at[0] - data)
            intrin.assign(element, element[0] + T.int64(1))
            intrin.assign(at, at[0] + T.int64(1))
        # one part serves all elements, none leaves them empty
        is_one = intrin.let(element[0] == first + T.int64(1))
        with T.serial(element[0], end) as rest:
            one = intrin.let(self._index + first * T.int64(4))
            begun = T.if_then_else(is_one, intrin.load("int32", one), T.int32(0))
            ended = T.if_then_else(is_one, intrin.load("int32", one + (self._ends - self._index)), T.int32(0))
            self._put(rest, begun, ended)

    def _put(self, element, start, end) -> None:
        intrin.store("int32", self._index + element * T.int64(4), start)
        intrin.store("int32", self._ends + element * T.int64(4), end)

    def field(self) -> Field:
        """The field over the elements."""
        field, parts, listed = self._field, self._is_parts, self._listed
        inner, zero = field[Word.INNER], T.int64(0)
        nested = inner != zero

        def choose(if_nested, if_listed, if_number):
            return T.Select(nested, if_nested, T.Select(listed, if_listed, T.Select(parts, zero, if_number)))

        words = {
            Word.LIST: inner,
            Word.VALID: choose(field[Word.INNER_VALID], field[Word.ELEMENT_VALID], zero),
            Word.VALID_BIT: choose(field[Word.INNER_BIT], field[Word.ELEMENT_BIT], zero),
            Word.ELEMENT_VALID: T.Select(nested, field[Word.ELEMENT_VALID], zero),
            Word.ELEMENT_BIT: T.Select(nested, field[Word.ELEMENT_BIT], zero),
            Word.TEXT: T.Select(parts, self._index, field[Word.TEXT]),
        }
        index = T.Select(parts, zero, self._index)
        return _over(field, words, index, T.Select(parts, self._ends, field.ends))


def _over(source: Field, words: Mapping[Word, Expr], index: Expr, ends: Expr) -> ElementField:
    """The field of `source`'s column whose row e is element e; `words` are those that differ, `index` as INDEX."""
    own = {Word.STRIDE: T.int64(1), Word.INDEX: index, **words}
    return ElementField(lambda word: own[word] if word in own else source[word], ends)
