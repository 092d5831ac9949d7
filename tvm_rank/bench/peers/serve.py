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
import pathlib
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

LEAST_CALLS = 5  # of a round, however slow
Calls = list[Callable[[], dict[str, Any]]]  # of each request
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

    def chosen(self, _asked: dict[str, Any]) -> Contestant:
        """The one that answers a question: itself, or one of several in the same process."""
        return self

    def calls(self, items: int, part: str) -> Calls:
        """For each request of `items` items a function that scores it: {output: array}."""
        raise NotImplementedError

    def round(self, calls: Calls, asked: dict[str, Any]) -> dict[str, Any]:
        """The figures of a round; a "note" among them is what a reader should know."""
        return _timed(calls, asked["seconds"])

    def split(self, items: int) -> dict[str, Any]:
        """The kernels of a request."""
        raise Refused(f"only the engine says what its kernels take ({items} items)")


class Server:
    """Answers requests with a contestant."""

    def __init__(self, contestant: Contestant):
        self.contestant = contestant
        self._ready: dict[int, tuple[tuple[int, str], Calls]] = {}  # of each that was chosen

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The reply to one line."""
        do = asked["do"]
        if do == "import":
            return {}
        if do == "open":
            self.contestant.open(asked)
        one = self.contestant.chosen(asked)
        if do == "open":
            return {"versions": one.versions, "about": one.about, "parts": one.parts, "why_not": one.why_not}
        if do == "scores":
            calls = self._calls(one, asked)[: asked["requests"]]
            return {"scores": [{name: value.tolist() for name, value in call().items()} for call in calls]}
        if do == "round":
            return one.round(self._calls(one, asked), asked)
        return one.split(asked["items"])

    def _calls(self, one: Contestant, asked: dict[str, Any]) -> Calls:
        key, ready = (asked["items"], asked["part"]), self._ready.get(id(one))
        if ready is None or ready[0] != key:
            self._ready[id(one)] = ready = key, one.calls(*key)
            for call in ready[1]:
                call()
        return ready[1]


def machine_seconds(stat: str | None = None) -> tuple[float, float]:
    """(CPU seconds that anybody has used on a machine, those that the hypervisor gave to others) by its /proc/stat, None for this machine's;
    zeros where nobody counts them."""
    try:
        if stat is None:
            stat = pathlib.Path("/proc/stat").read_text(encoding="ascii")
        ticks = [int(word) for word in stat.partition("\n")[0].split()[1:9]]
    except (OSError, ValueError):
        return 0.0, 0.0
    if not ticks:
        return 0.0, 0.0
    second = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[3] - ticks[4]) / second, ticks[7] / second


def _timed(calls: Calls, seconds: float) -> dict[str, Any]:
    """Score the requests in turn for so many seconds, so that one is not hot in the caches when it comes again."""
    gc.collect()
    warm = time.perf_counter() + WARM_UP_S
    for call in calls:
        call()
        if time.perf_counter() > warm:
            break
    times: list[float] = []
    busy, own, started = machine_seconds(), time.process_time(), time.perf_counter()
    end = started + seconds
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
