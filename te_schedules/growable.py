"""Scratch memory that grows: an array whose length is known only when it is full."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin, thread_memory

FIRST_BYTES = 256


class Growable:
    """Items of one dtype, appended one by one. `address` moves when it grows; `free` gives it back, in the same thread."""

    def __init__(self, dtype: str, item_bytes: int):
        self._dtype, self._item = dtype, item_bytes
        self._address = intrin.local("int64", thread_memory.take(T.int64(FIRST_BYTES)))
        self._room = intrin.local("int64", FIRST_BYTES)
        self._used = intrin.local("int64", 0)

    @property
    def address(self):
        """The address (int64) of item 0, until the next append."""
        return self._address[0]

    @property
    def end(self):
        """The address (int64) behind the last item, until the next append."""
        return self._address[0] + self._used[0]

    @property
    def bytes(self):
        """How many bytes the items take."""
        return self._used[0]

    @property
    def count(self):
        """How many items there are."""
        return self._used[0] // T.int64(self._item)

    def reserve(self, size) -> None:
        """Make room for `size` bytes behind the last item; the room at least doubles, so that copies stay few."""
        wanted = intrin.let(self._used[0] + size)
        with T.If(wanted > self._room[0]), T.Then():
            room = intrin.let(T.max(wanted, self._room[0] * T.int64(2)))
            moved = thread_memory.take(room)
            intrin.copy(moved, self._address[0], self._used[0])
            thread_memory.give(self._address[0])
            intrin.assign(self._address, moved)
            intrin.assign(self._room, room)

    def extend(self, size) -> None:
        """Count `size` bytes, which were written behind the last item after `reserve`."""
        intrin.assign(self._used, self._used[0] + size)

    def clear(self) -> None:
        """Forget all items; the room stays."""
        intrin.assign(self._used, 0)

    def append(self, value) -> None:
        """Emit the append of one item."""
        self.reserve(T.int64(self._item))
        intrin.store(self._dtype, self.end, value)
        self.extend(T.int64(self._item))

    def free(self) -> None:
        """Emit the return of the memory."""
        thread_memory.give(self._address[0])
