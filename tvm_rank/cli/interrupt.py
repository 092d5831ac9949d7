"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever it happens to be. In a callback that TVM's C++ code calls, or in a finalizer, that can be
swallowed, and the work goes on. So the signal is also noted, and looked at between the stages.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType


class Interrupts(contextlib.AbstractContextManager["Interrupts"]):
    """Inside the context, `check()` raises KeyboardInterrupt if Ctrl-C came at any time since it began. Any other error behind it is one."""

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # only there can a handler be set
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)
        if self._came and isinstance(error, Exception):  # what it has become on its way through C++
            raise KeyboardInterrupt from None

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if it came."""
        if self._came:
            raise KeyboardInterrupt
