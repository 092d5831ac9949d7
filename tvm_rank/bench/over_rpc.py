"""A model on a server of TVM's RPC tracker, which has TVM's runtime and nothing of this project.

Code, tables and columns are brought there once. One call ranks all requests in turn and reads the server's clock between them
(`relay_passes/add_turns.py`), so that no figure has the network in it. Columns are read and described here, and lie behind each other in one
piece of memory there.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from relay_passes.add_turns import TURNS
from te_schedules import pack_columns
from te_schedules.lower import PIPELINE
from te_schedules.read_clocks import CLOCKS
from tvm_rank.artifact import store
from tvm_rank.artifact.manifest import Manifest
from tvm_rank.bench.peers.requests import Request
from tvm_rank.bench.probe import TEXT_BYTES
from tvm_rank.errors import BenchError
from tvm_rank.runtime import matrix_unit
from tvm_rank.runtime.columns import FieldUse, Table
from tvm_rank.runtime.library import CPU, POOLED
from tvm_rank.runtime.program import Refusal, check, raise_refusal
from tvm_rank.runtime.read_side import read_side
from tvm_rank.runtime.stacks import MAPPED, open_stack
from tvm_rank.runtime.this_machine import flags_in, missing

BIG_CORES = 1  # TVM's affinity mode whose arguments can be sent


class Elsewhere(BenchError):
    """The server is another kind of machine than the code is for."""


class RemoteMachine:
    """The processor of a server, by a library (`probe.py`) that runs on all of a kind."""

    def __init__(self, session: Any, probe: pathlib.Path, machine: str, where: str):
        session.upload(str(probe), probe.name)
        self._device, self.where, self.flags = session.cpu(), where, frozenset[str]()
        try:
            self._library = session.load_module(probe.name)
        except Exception as error:
            raise Elsewhere(
                f"{where}: cannot load code for {machine} ({_last_line(error)}); give the key of servers that are {machine} machines"
            ) from error

    def text(self, path: str) -> str:
        """The begin of a file of the server; "" without it."""
        name = np.frombuffer(path.encode() + b"\0", np.uint8)
        text, size = self.tensor(np.zeros(TEXT_BYTES, np.uint8)), self.tensor(np.zeros(1, np.int64))
        self._library["read_file"](self.tensor(name), text, size)
        return bytes(text.numpy()[: int(size.numpy()[0])]).decode(errors="replace")

    def check(self, needs: Sequence[str]) -> str:
        """The name of the processor. Raises Elsewhere when it lacks a flag that code needs."""
        cpuinfo = self.text("/proc/cpuinfo")
        self.flags = flags_in(cpuinfo)
        if lacks := missing(needs, self.flags):
            raise Elsewhere(f"{self.where}: its CPU lacks {', '.join(lacks)}; give a smaller target, or the key of other servers")
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
        return f"{len(names)} of {names[0]}" if names else "processor not named"

    def gives_tiles(self) -> bool:
        """Ask Linux there for the matrix unit (AMX), for this session's process."""
        result = self.tensor(np.zeros(1, np.int64))
        self._library["system_call"](self.tensor(np.array(matrix_unit.REQUEST, np.int64)), result)
        return bool(result.numpy()[0] == 0)

    def tensor(self, array: np.ndarray) -> Any:
        """A copy of an array over there."""
        import tvm

        return tvm.runtime.tensor(np.ascontiguousarray(array), device=self._device)

    def address(self, tensor: Any) -> int:
        """Where a tensor of bytes lies there."""
        found = self.tensor(np.zeros(1, np.int64))
        self._library["address_of"](tensor, found)
        return int(found.numpy()[0])


class RemoteModel:
    """An artifact that was compiled with `Schedule.turns`, on a server. has_tiles: it uses the CPU's matrix unit."""

    def __init__(self, session: Any, machine: RemoteMachine, folder: pathlib.Path, manifest: Manifest, threads: int):
        self.machine, self.manifest, self._folder = machine, manifest, folder
        session.get_function("runtime.config_threadpool")(BIG_CORES, threads)
        name = f"{folder.name}.so"  # a name that was loaded before would be the same code
        session.upload(str(folder / store.LIBRARY), name)
        library = session.load_module(name)
        self.has_tiles = self._with_tiles(library)
        self._vm = library["vm_load_executable"]()
        self._vm["vm_initialization"](CPU, 0, POOLED)
        self._memory: Any = None  # of the columns
        self.count = 0  # requests

    def _with_tiles(self, library: Any) -> bool:
        """Let kernels that have code for the matrix unit use it, if the server does."""
        needed = matrix_unit.flags_of(self.manifest)
        if not needed or not {"amx_tile", *needed} <= self.machine.flags or not self.machine.gives_tiles():
            return False
        library.get_function(matrix_unit.SWITCH, query_imports=True)(1)
        return True

    def bring(self, requests: Sequence[Request]) -> None:
        """Make these the requests of `turn`, as many as `Schedule.turns`, all with as many items. Raises InputError, or BenchError when they
        have not."""
        if len(counts := {len(items) for _, items in requests}) > 1:
            raise BenchError(f"the requests have {min(counts)} to {max(counts)} items; give a batch size that all of them have")
        described = [_described(self.manifest, *request) for request in requests]
        tables = [table for pair in described for table in pair]
        packed, self._memory = _packed([table.words for table in tables], len(requests[0][1]), self.machine)
        stacks = [open_stack(self._folder, entry, MAPPED) for entry in self.manifest.stacks]
        given = [*packed, np.zeros(len(requests[0][1]), np.int32), *stacks]
        self._vm["set_input"](TURNS, *(self.machine.tensor(array) for array in given))
        self.count = len(requests)

    def turn(self) -> np.ndarray:
        """Rank all requests; the clocks before the first and behind each: (requests + 1, 2) int64, nanoseconds."""
        self._vm["invoke_stateful"](TURNS)
        return self._output(0).reshape(self.count + 1, len(CLOCKS))

    def scores(self, request: int) -> dict[str, np.ndarray]:
        """Those of a request in the last turn. Raises InputError for a value that a feature refuses."""
        outputs, (users, items) = self.manifest.outputs, (self.manifest.request_fields, self.manifest.item_fields)
        first = 1 + request * (len(outputs) + 1)
        _check(self._output(first + len(outputs)), (users, items), self.manifest)
        return {output.name: self._output(first + k) for k, output in enumerate(outputs)}

    def _output(self, number: int) -> np.ndarray:
        array: np.ndarray = self._vm["get_output"](TURNS, number).numpy()
        return array


def _described(manifest: Manifest, user: Any, items: Any) -> tuple[Table, Table]:
    """The descriptor tables of a request with one row of `user`."""
    uses = (*manifest.request_fields, *manifest.item_fields)
    sides = [tuple(dict.fromkeys(use.name for use in uses if use.is_request == request)) for request in (True, False)]
    (of_user, rows), (of_items, count) = read_side(user, sides[0], "user"), read_side(items, sides[1], "items")
    made = []
    for fields in (manifest.request_fields, manifest.item_fields):
        table = Table(fields)
        for k, use in enumerate(fields):
            column, length = (of_user[use.name], rows) if use.is_request else (of_items[use.name], count)
            table.fill(k, column, length, f"{use.side} column {use.name!r}")
        made.append(table)
    return made[0], made[1]


def _packed(tables: Sequence[np.ndarray], rows: int, machine: RemoteMachine) -> tuple[list[np.ndarray], Any]:
    """The tables with addresses of the server, and the memory there that they lead to."""
    pack = _packer()

    def run(here: int, there: int) -> tuple[list[np.ndarray], int]:
        found, end = [], np.zeros(1, np.int64)
        for words in tables:
            found.append(np.empty_like(words))
            pack(words, np.array([here, there, end[0], rows, 0, 0], np.int64), found[-1], end)
        return found, int(end[0])

    size = run(0, 0)[1]
    host = np.zeros(max(size, 1), np.uint8)
    run(host.ctypes.data, 0)
    memory = machine.tensor(host)
    return run(0, machine.address(memory))[0], memory


def _packer() -> Any:
    """The kernel that puts columns together, for this machine."""
    import tvm

    from tvm_rank.target import resolve

    module = tvm.IRModule({"pack_columns": pack_columns.prim_func()})
    return tvm.tirx.build(module, target=resolve("cpu").tvm_target, pipeline=PIPELINE)["pack_columns"]


def _check(status: np.ndarray, sides: Sequence[Sequence[FieldUse]], manifest: Manifest) -> None:
    """Raise InputError for what the statuses of a request say."""
    first = 0
    for uses in sides:
        end = first + max(1, len(uses))
        check(uses, status[first:end])
        first = end
    for group in manifest.refusals:
        end = first + max(1, len(group))
        raise_refusal(status[first:end], [Refusal(feature=feature, rule=rule) for feature, rule in group])
        first = end


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
