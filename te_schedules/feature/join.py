"""Texts that are put together before they are hashed: prefix, parts and underscores, in one buffer for a block of rows."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin, thread_memory
from te_schedules.scratch import Scratch
from te_schedules.text import copy
from te_schedules.tokens import INT_TEXT_BYTES, Text

UNDERSCORE = ord("_")


class Joined:
    """The buffer of a column for a block of rows. `start` is the address behind the prefix, which is written once.

    Its size is the longest text that a row of the block can give: prefix, underscores, and for each field all bytes of the row. It
    comes from TVM's workspace pool, once per block and column, because a text may be of any length.
    """

    def __init__(self, scope, first_row, end_row):
        longest = intrin.local("int64", 0)
        with T.serial(first_row, end_row) as row:
            total = T.int64(0)
            for field in scope.fields:
                total = total + _row_bytes(field, row) + T.int64(1)
            intrin.assign(longest, T.max(longest[0], intrin.let(total)))
        size = intrin.let(longest[0] + scope.int("prefix_count"))
        self._first = thread_memory.take(size)
        scope.at_end(lambda: thread_memory.give(self._first))
        prefix = Text(scope.bytes_address(scope.int("prefix_at")), scope.int("prefix_count"))
        self.start = copy.emit(prefix, self._first)

    def append(self, address, text: Text):
        """Write a part at `address`; gives the address behind it."""
        return copy.emit(text, address)

    def underscore(self, address):
        """Write an underscore at `address`; gives the address behind it."""
        intrin.store("uint8", address, T.uint8(UNDERSCORE))
        return intrin.let(address + T.int64(1))

    def text(self, end) -> Text:
        """The whole text up to `end`."""
        return Text(self._first, intrin.let(end - self._first))


class Pieces:
    """Texts of a few parts, for parts whose length no column tells: the buffer grows with the texts."""

    def __init__(self, scope):
        self._scope, self._buffer = scope, Scratch(scope)
        scope.bind("prefix_at", "prefix_count")

    def joined(self, parts: tuple[Text, ...], *, prefixed: bool) -> Text:
        """The parts with underscores between them, behind the column's array `prefix` if `prefixed`; valid until the next one."""
        if len(parts) == 1 and not prefixed:
            return parts[0]
        size = self._scope.int("prefix_count") + T.int64(len(parts))
        for part in parts:
            size = size + part.length
        self._buffer.ensure(intrin.let(size))
        at = intrin.let(self._buffer.address)
        if prefixed:
            at = copy.emit(Text(self._scope.bytes_address(self._scope.int("prefix_at")), self._scope.int("prefix_count")), at)
        for k, part in enumerate(parts):
            if k:
                intrin.store("uint8", at, T.uint8(UNDERSCORE))
                at = intrin.let(at + T.int64(1))
            at = copy.emit(part, at)
        first = intrin.let(self._buffer.address)
        return Text(first, intrin.let(at - first))


def _row_bytes(field, row):
    """A bound of the bytes of any one value of the row."""
    first, last = field.elements(row)
    texts = T.if_then_else(first < last, field.text_end(last - T.int64(1)) - field.text_offset(first), T.int64(0))
    return T.if_then_else(field.is_text, texts, T.int64(INT_TEXT_BYTES))
