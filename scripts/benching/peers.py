"""The process of a benchmark's peers, which have a Python of their own."""

from __future__ import annotations

import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent


class Peers:
    """A script beside this file. It says one line of JSON when it is ready (`said`), then answers names with seconds, a line each."""

    def __init__(self, python: str, script: str, *arguments: object):
        command = [python, str(HERE / script), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the peers ended; see above")
        return line

    def run(self, name: str) -> float:
        """Seconds of one pass."""
        assert self._process.stdin is not None
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
