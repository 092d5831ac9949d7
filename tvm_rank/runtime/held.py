"""A request that waits at one of its kernels, so that the kernel can be run again and again on what the request brought there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tvm_rank.errors import RankError
from tvm_rank.runtime.engine import Engine, _Machine


class HeldCall:
    """The first call of a kernel in a request; `arguments` are the kernel's, as the virtual machine gives them, its outputs last.

    The request waits in a thread of its own until `release`: arguments lead to columns, rows and buffers that are gone behind it. The
    engine must not be used by other threads while this is made. Raises RankError when the request fails, or does not call the kernel.
    """

    def __init__(self, engine: Engine, kernel: str, request: Mapping[str, Any]):
        import tvm_ffi

        self.arguments: tuple[Any, ...] = ()
        self._kernel = kernel
        self._reached, self._released = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._engine, machine = engine, engine._new_machine()
        assert isinstance(machine, _Machine), "kernels of a GPU end after the call that starts them"
        self._machine = machine
        self._machine.module["set_instrument"](tvm_ffi.convert(self._hook))
        engine._machines.append(self._machine)  # the next request takes it
        self._thread = threading.Thread(target=self._run, args=(dict(request),), daemon=True)
        self._thread.start()
        self._reached.wait()
        if not self.arguments:
            self.release()
            raise RankError(f"the request does not call {kernel}: {self._error or 'it ended before'}")

    def _hook(self, _function: Any, name: str, before: bool, _result: Any, *arguments: Any) -> int:
        if before and not self.arguments and str(name) == self._kernel:
            self.arguments = arguments
            self._reached.set()
            self._released.wait()
        return 0

    def _run(self, request: dict[str, Any]) -> None:
        try:
            self._engine.rank(**request)
        except Exception as error:  # of another thread, which is told
            self._error = error
        self._reached.set()

    def release(self) -> None:
        """Let the request end; the arguments must not be used any more."""
        self._released.set()
        self._thread.join()
        self._engine._machines.remove(self._machine)
