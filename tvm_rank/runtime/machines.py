"""The virtual machines of an engine: each call works in one of its own, kept for the next call."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tvm_rank.runtime.gpu import GpuMachine
from tvm_rank.runtime.library import new_machine

Hook = Callable[..., int]  # (function, name, before, result, *arguments) of a kernel -> 0


@dataclass(frozen=True, eq=False)
class Machine:
    """A virtual machine, and its functions (`relay_passes/add_entries.py`)."""

    module: Any
    rank_columns: Any
    rank_batches: Any

    @classmethod
    def of(cls, library: Any, entry: str) -> Machine:
        """A new one for a library. entry: "rank", or "rank_store" with an item store."""
        module = new_machine(library)
        return cls(module, module[f"{entry}_columns"], module[f"{entry}_batches"])

    def watch(self, hook: Hook) -> None:
        """Call the hook before and after each kernel."""
        import tvm_ffi

        self.module["set_instrument"](tvm_ffi.convert(hook))


class Machines:
    """As many as there were calls at the same time. `make` gives a new one."""

    def __init__(self, make: Callable[[], Machine | GpuMachine]):
        self._make = make
        self._idle: collections.deque[Any] = collections.deque([make()])

    @contextlib.contextmanager
    def taken(self) -> Iterator[Any]:
        """One for this call alone."""
        machine = self._next()
        try:
            yield machine
        finally:
            self._idle.append(machine)

    def _next(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    @contextlib.contextmanager
    def watched(self, hook: Hook) -> Iterator[None]:
        """Meanwhile calls, one behind the other, tell the hook of their kernels."""
        machine = _watchable(self._next())
        machine.watch(hook)
        self._idle.append(machine)
        try:
            yield
        finally:
            machine.watch(lambda *_: 0)

    def add_watched(self, hook: Hook) -> Machine:
        """A new one for the next call, which tells the hook of its kernels. No other call may begin meanwhile."""
        machine = _watchable(self._make())
        machine.watch(hook)
        self._idle.append(machine)
        return machine

    def remove(self, machine: Machine) -> None:
        """Forget one that no call works in."""
        self._idle.remove(machine)


def _watchable(machine: Machine | GpuMachine) -> Machine:
    assert isinstance(machine, Machine), "kernels of a GPU end after the call that starts them"
    return machine
