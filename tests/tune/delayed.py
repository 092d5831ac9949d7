"""A way to a server that takes some time in each direction, as a tunnel does: a process of its own, since TVM waits for an answer without
letting other threads of Python run.

python delayed.py PORT SECONDS
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

AWAY = "127.0.0.2"


class Delayed:
    """Listens at AWAY, and leads to the same port of 127.0.0.1: what is written there arrives `seconds` later, and so do answers."""

    def __init__(self, port: int, seconds: float):
        self._port, self._seconds = port, seconds
        self._listener = socket.create_server((AWAY, port))

    def serve(self) -> None:
        """Lead, for ever."""
        while True:
            here = self._listener.accept()[0]
            there = socket.create_connection(("127.0.0.1", self._port))
            for source, target in ((here, there), (there, here)):
                for side in (source, target):
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
                threading.Thread(target=self._read, args=(source, waiting), daemon=True).start()
                threading.Thread(target=self._write, args=(target, waiting), daemon=True).start()

    def _read(self, source: socket.socket, waiting: SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"?"
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + self._seconds, data))

    def _write(self, target: socket.socket, waiting: SimpleQueue[tuple[float, bytes]]) -> None:
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return


@contextlib.contextmanager
def delayed(port: int, seconds: float) -> Iterator[None]:
    """From AWAY to this port, while it lasts."""
    process = subprocess.Popen([sys.executable, __file__, str(port), str(seconds)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    Delayed(int(sys.argv[1]), float(sys.argv[2])).serve()
