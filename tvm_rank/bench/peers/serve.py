"""The protocol of a contestant's process: a JSON line in, a JSON line out, until the input ends.

    {"do": "import"}                                        -> {}, when all packages are there
    {"do": "open", ...}                                     -> versions, what is measured ("about"), and its parts
    {"do": "scores", "requests": 2, "items": 64, "part": P} -> the outputs of these requests: {name: [[...], ...]}
    {"do": "round", "items": 64, "seconds": 0.5, "part": P} -> {"times_us": [...], "cpu_s", "wall_s", "foreign", "steal"}
    {"do": "split", "items": 64}                            -> the kernels of a request (the engine alone has it)

A part is `all`, from raw fields to scores, or `model`, the dense model alone from inputs that were made before.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

LEAST_CALLS = 5  # of a round, however slow
WARM_UP_S = 0.3  # at most, but for the first round, in which every request is scored once


class Refused(Exception):
    """The contestant cannot do this workload, or lacks what it needs; the message says why."""


class Contestant:
    """One way to score requests. `open` prepares it; `calls` gives a function for each request."""

    versions: dict[str, str]
    about: str
    parts: tuple[str, ...]
    why_not: str = ""  # why a part is missing

    def open(self, given: dict[str, Any]) -> None:
        """Read model and requests. Raises Refused."""
        raise NotImplementedError

    def calls(self, items: int, part: str) -> list[Callable[[], dict[str, Any]]]:
        """For each request of `items` items a function that scores it: {output: array}."""
        raise NotImplementedError

    def split(self, items: int) -> dict[str, Any]:
        """The kernels of a request."""
        raise Refused(f"only the engine says what its kernels take ({items} items)")


class Server:
    """Answers requests with a contestant."""

    def __init__(self, contestant: Contestant):
        self.contestant = contestant
        self._ready: tuple[tuple[int, str], list[Callable[[], dict[str, Any]]]] | None = None

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The reply to one line."""
        do = asked["do"]
        if do == "import":
            return {}
        if do == "open":
            self.contestant.open(asked)
            one = self.contestant
            return {"versions": one.versions, "about": one.about, "parts": one.parts, "why_not": one.why_not}
        if do == "scores":
            calls = self._calls(asked)[: asked["requests"]]
            return {"scores": [{name: value.tolist() for name, value in call().items()} for call in calls]}
        if do == "round":
            return self._round(asked)
        return self.contestant.split(asked["items"])

    def _calls(self, asked: dict[str, Any]) -> list[Callable[[], dict[str, Any]]]:
        key = (asked["items"], asked["part"])
        if self._ready is None or self._ready[0] != key:
            self._ready = key, self.contestant.calls(*key)
            for call in self._ready[1]:
                call()
        return self._ready[1]

    def _round(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Score the requests in turn for so many seconds, so that one is not hot in the caches when it comes again."""
        calls = self._calls(asked)
        gc.collect()
        warm = time.perf_counter() + WARM_UP_S
        for call in calls:
            call()
            if time.perf_counter() > warm:
                break
        times: list[float] = []
        busy, own, started = machine_seconds(), time.process_time(), time.perf_counter()
        end = started + asked["seconds"]
        while len(times) < LEAST_CALLS or time.perf_counter() < end:
            call = calls[len(times) % len(calls)]
            before = time.perf_counter()
            call()
            times.append(time.perf_counter() - before)
        wall, used = time.perf_counter() - started, time.process_time() - own
        after = machine_seconds()
        return {
            "times_us": [round(one * 1e6, 2) for one in times],
            "cpu_s": used,
            "wall_s": wall,
            "foreign": max(0.0, (after[0] - busy[0] - used) / wall),
            "steal": (after[1] - busy[1]) / wall,
        }


def machine_seconds() -> tuple[float, float]:
    """(CPU seconds that anybody has used on this machine, those that the hypervisor gave to others); zeros where nobody counts them."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0.0, 0.0
    second = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[3] - ticks[4]) / second, ticks[7] / second


def serve(make: Callable[[], Contestant]) -> None:
    """Answer the lines of stdin on stdout; whatever else is printed goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server: Server | None = None
    for line in sys.stdin:
        try:
            server = server or Server(make())
            reply = server.answer(json.loads(line))
        except Refused as error:
            reply = {"refused": str(error)}
        except ImportError as error:
            reply = {"missing": str(error.name or error)}
        except Exception as error:
            traceback.print_exc()
            reply = {"failed": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
