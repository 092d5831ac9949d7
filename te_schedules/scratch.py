"""Memory of a block of rows whose size is found out while the kernel runs."""

from __future__ import annotations

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin, thread_memory


class Scratch:
    """Bytes from TVM's workspace pool that grow when more are asked for, and are given back behind the column's loop over rows."""

    def __init__(self, scope):
        self._address, self._size = intrin.local("int64", 0), intrin.local("int64", 0)
        scope.at_end(self._give)

    @property
    def address(self):
        """Where the bytes lie; another place after `ensure`."""
        return self._address[0]

    def ensure(self, size) -> None:
        """Emit that there are at least `size` bytes (int64). What they held is lost when they grow."""
        with T.If(self._size[0] < size), T.Then():
            self._give()
            intrin.assign(self._address, thread_memory.take(size))
            intrin.assign(self._size, size)

    def _give(self) -> None:
        with T.If(self._size[0] > T.int64(0)), T.Then():
            thread_memory.give(self._address[0])
