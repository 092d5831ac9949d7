"""The virtual machines of an engine: each call works in one of its own, kept for the next call."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.runtime.direct import Direct, Output
from tvm_rank.runtime.gpu import GpuMachine
from tvm_rank.runtime.library import new_machine
from tvm_rank.runtime.record_batch import Structs

RANK, RANK_STORE = "rank", "rank_store"  # entries: without an item store, and with one
Hook = Callable[..., int]  # (function, name, before, result, *arguments) of a kernel -> 0


@dataclass(eq=False)
class Machine:
    """A virtual machine, its functions (`relay_passes/add_entries.py`), the structs of the request that it works for, and the way
    around it, if any, which is not taken while kernels are watched."""

    module: Any
    rank_columns: Any
    rank_batches: Any
    structs: Structs
    direct: Direct | None
    is_watched: bool = False

    @classmethod
    def of(cls, library: Any, entry: str, outputs: Sequence[Output]) -> Machine:
        """A new one for a library. entry: RANK or RANK_STORE · outputs: the results of RANK."""
        module = new_machine(library)
        direct = Direct.of(library, module, outputs) if entry == RANK else None
        return cls(module, module[f"{entry}_columns"], module[f"{entry}_batches"], Structs(), direct)

    def watch(self, hook: Hook) -> None:
        """Call the hook before and after each kernel."""
        import tvm_ffi

        self.module["set_instrument"](tvm_ffi.convert(hook))
        self.is_watched = True

    def unwatch(self) -> None:
        """Call it no more."""
        self.watch(lambda *_: 0)
        self.is_watched = False


class Machines:
    """As many as there were calls at the same time. `make` gives a new one."""

    def __init__(self, make: Callable[[], Machine | GpuMachine]):
        self._make = make
        self._idle: collections.deque[Any] = collections.deque([make()])

    def taken(self) -> _Taken:
        """One for this call alone, inside of `with`."""
        return _Taken(self)

    def take(self) -> Any:
        """One that waits, or a new one; to be given back."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    def give_back(self, machine: Any) -> None:
        """The call that took it has ended."""
        self._idle.append(machine)

    @contextlib.contextmanager
    def watched(self, hook: Hook) -> Iterator[None]:
        """Meanwhile calls, one behind the other, tell the hook of their kernels."""
        machine = self.take()
        machine.watch(hook)
        self._idle.append(machine)
        try:
            yield
        finally:
            machine.unwatch()

    def add_watched(self, hook: Hook) -> Machine:
        """A new one for the next call, which tells the hook of its kernels. No other call may begin meanwhile."""
        machine = self._make()
        assert isinstance(machine, Machine), "kernels of a GPU end after the call that starts them"
        machine.watch(hook)
        self._idle.append(machine)
        return machine

    def remove(self, machine: Machine) -> None:
        """Forget one that no call works in."""
        self._idle.remove(machine)


class _Taken:
    """A class of its own: a generator as context takes 2 us more of every request."""

    def __init__(self, machines: Machines):
        self._machines = machines

    def __enter__(self) -> Any:
        self._machine = self._machines.take()
        return self._machine

    def __exit__(self, *_error: object) -> None:
        self._machines.give_back(self._machine)
