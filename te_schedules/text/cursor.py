"""A walk over the bytes of a text, one at a time, that stays inside the text."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

END = -1


class Cursor:
    """The byte at a moving place of a text: `byte` is an int32, END (-1) behind the last byte.

    Expressions of the cursor are read anew where they are used, so they may stand in the condition of a loop.
    """

    def __init__(self, address, end):
        self._end = end
        self._at = intrin.local("int64", address)
        self._byte = intrin.local("int32", END)
        self._read()

    @property
    def at(self):
        """The address (int64) of the byte."""
        return self._at[0]

    @property
    def byte(self):
        """The byte, or END."""
        return self._byte[0]

    @property
    def digit(self):
        """The byte as a decimal digit; outside 0..9 if it is none."""
        return self._byte[0] - T.int32(ord("0"))

    @property
    def is_digit(self):
        """Condition: the byte is an ASCII digit."""
        return T.And(self.digit >= T.int32(0), self.digit <= T.int32(9))

    @property
    def is_end(self):
        """Condition: there is no further byte."""
        return self._byte[0] == T.int32(END)

    def has(self, count: int):
        """Condition: there are `count` bytes from here on."""
        return self._at[0] + T.int64(count) <= self._end

    def advance(self, count: int = 1) -> None:
        """Emit the step over `count` bytes, which must be there."""
        intrin.assign(self._at, self._at[0] + T.int64(count))
        self._read()

    def skip_sign(self):
        """Emit a step over one `+` or `-`; gives the condition that it was `-`."""
        negative = T.bind(self.byte == T.int32(ord("-")))
        with T.If(T.Or(negative, self.byte == T.int32(ord("+")))), T.Then():
            self.advance()
        return negative

    def _read(self) -> None:
        byte = T.cast(intrin.load("uint8", self._at[0]), "int32")
        intrin.assign(self._byte, T.if_then_else(self._at[0] < self._end, byte, T.int32(END)))
