"""A kernel that doubles its input, and what can go wrong with a candidate."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from tvm_rank.tune.calls import ARGUMENTS, ARRAY, OUTPUT
from tvm_rank.tune.measure import Effort
from tvm_rank.tune.records import Choice
from tvm_rank.tune.task import kernel_module
from tvm_rank.tune.timed import ENTRY

EFFORT = Effort(rounds=5, runs=3)
ROWS = (100, 3000)


class Doubled:
    """out = 2 x, or what `mode` says."""

    name = operator = "doubled"
    calls = 1

    @property
    def default(self) -> Choice:
        return {"mode": "right"}

    @property
    def space(self) -> Mapping[str, Sequence[Any]]:
        return {"mode": ("right", "slow", "wrong", "part", "crash", "hang")}

    def module(self, choice: Choice) -> tvm.IRModule:
        mode = choice["mode"]
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name(ENTRY)
            handles = [T.arg(name, T.handle()) for name in ("x", "out")]
            n = T.int64()
            x, out = (T.match_buffer(handle, (n,), "float32") for handle in handles)
            if mode == "crash":
                T.evaluate(T.call_extern("void", "abort"))
            if mode == "hang":
                T.evaluate(T.call_extern("int32", "sleep", 600))
            with T.serial(20 if mode == "slow" else 1), T.serial(n - 1 if mode == "part" else n) as i:
                factor = T.Select(x[i] > 2.5, T.float32(3), T.float32(2)) if mode == "wrong" else T.float32(2)
                T.buffer_store(out, T.call_extern("float32", "fabsf", x[i]) * factor, [i])
        return kernel_module(builder.get())

    def shapes(self, _choice: Choice, rows: int) -> list[list[int]]:
        return [[rows], [rows]]

    def record(self, folder: pathlib.Path, rows: int) -> None:
        np.save(folder / "x.npy", np.linspace(0, 3, rows, dtype=np.float32))
        entries = [{"kind": ARRAY, "file": "x.npy"}, {"kind": OUTPUT, "shape": [rows], "dtype": "float32"}]
        (folder / ARGUMENTS).write_text(json.dumps(entries))
