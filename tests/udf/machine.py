"""Runs a program of a udf on Python values, without a feature around it: the procedure called row by row, from memory that NumPy lays out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.lower import PIPELINE
from te_schedules.procedure import prim_funcs
from te_schedules.udf import memory
from te_schedules.udf.function import SUPPORT, Signature, procedure
from te_schedules.udf.memory import State, Status
from tvm_rank.functions.function import Udf
from tvm_rank.functions.program import compile_udf

FAILED = "no value"


class Machine:
    """A udf as machine code; `machine(*arguments)` is its result, FAILED when it has none, or a Status."""

    def __init__(self, udf: Udf, options: dict[str, Any] | None = None):
        self.udf, self.options = udf, dict(udf.options) | (options or {})
        self.program = compile_udf(udf, options)
        signature = Signature(self.program.parameters, self.program.variables, self.program.returns)
        self.code = procedure(signature, self.program.body)
        functions = prim_funcs([*SUPPORT, self.code]) | {"run": self._driver()}
        target = tvm.target.Target({"kind": "llvm", "opt-level": 2})
        self.run = tvm.tirx.build(tvm.IRModule(functions), target=target, pipeline=PIPELINE)["run"]

    def _driver(self):
        words = list(self.code.parameters.items())[1:]
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name("run")
            T.func_attr({"global_symbol": "run"})
            given = T.match_buffer(T.arg("p_given", T.handle()), (len(words),), "int64")
            out = T.match_buffer(T.arg("p_out", T.handle()), (1024,), "int64")
            with intrin.imports():
                state = memory.open_state()
                memory.begin_row(state)
                arguments = [
                    T.reinterpret("float64", given[k]) if dtype == "float64" else given[k] for k, (_, dtype) in enumerate(words)
                ]
                self.code.call(state, *arguments)
                T.buffer_store(out, memory.get(state, State.STATUS), [0])
                with T.If(memory.get(state, State.STATUS) == T.int64(0)), T.Then():
                    self._copy_result(state, out)
                memory.close_state(state)
        return builder.get()

    def _copy_result(self, state, out) -> None:
        result = memory.get(state, State.RESULT)
        if self.program.returns in ("ints", "floats"):
            T.buffer_store(out, memory.length_of(result), [1])
            with T.serial(T.min(memory.length_of(result), T.int64(1000))) as k:
                T.buffer_store(out, intrin.load("int64", memory.element_address(result, k)), [k + T.int64(2)])
        elif self.program.returns == "text":
            count = memory.get(state, State.COUNT)
            T.buffer_store(out, count, [1])
            with T.serial(T.min(count, T.int64(1000))) as k:
                T.buffer_store(out, T.cast(intrin.load("uint8", result + k), "int64"), [k + T.int64(2)])
        else:
            T.buffer_store(out, result, [1])

    def __call__(self, *arguments: Any) -> Any:
        keep: list[np.ndarray] = []
        words = [
            word for (_, kind), value in zip(self.program.parameters, arguments, strict=True) for word in _words(kind, value, keep)
        ]
        out = np.zeros(1024, np.int64)
        self.run(np.array(words, np.int64), out)
        if out[0]:
            return FAILED if out[0] == Status.NO_VALUE else Status(out[0])
        return _result(self.program.returns, out[1:])

    def expected(self, *arguments: Any) -> Any:
        """What Python gives."""
        pairs = zip(self.udf.parameters, arguments, strict=True)
        given = [a.decode(errors="replace") if p.kind == "str" and isinstance(a, bytes) else a for p, a in pairs]
        try:
            result = self.udf(*(list(a) if isinstance(a, list) else a for a in given), **self.options)
        except (ArithmeticError, ValueError, IndexError, TypeError, AssertionError):
            return FAILED
        return FAILED if result is None or isinstance(result, complex) else result

    def check(self, *arguments: Any) -> None:
        """Assert that both agree."""
        got, wanted = self(*arguments), self.expected(*arguments)
        assert same(got, wanted), f"{self.udf.name}{arguments}: got {got!r}, wanted {wanted!r}"


def same(got: Any, wanted: Any) -> bool:
    """Equal, floats to the last few bits of a C library, NaN to NaN."""
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(same, got, wanted))
    if isinstance(wanted, float) and isinstance(got, float):
        return (math.isnan(got) and math.isnan(wanted)) or got == wanted or math.isclose(got, wanted, rel_tol=1e-14)
    return got == wanted


def _words(kind: str, value: Any, keep: list[np.ndarray]) -> list[int]:
    if kind == "float":
        return [int(np.float64(value).view(np.int64))]
    if kind in ("text", "bytes"):
        array = np.frombuffer((value if isinstance(value, bytes) else value.encode()) + b"\0", np.uint8)
        keep.append(array)
        return [array.ctypes.data, len(array) - 1]
    if kind in ("ints", "floats", "texts"):
        return [_list(kind, value, keep)]
    return [int(value)]


def _list(kind: str, values: Sequence[Any], keep: list[np.ndarray]) -> int:
    if kind == "texts":
        points = [np.array([ord(c) for c in text] + [0], np.int32) for text in values]
        keep.extend(points)
        data = np.array([w for p in points for w in (p.ctypes.data, len(p) - 1)] + [0], np.int64)
    else:
        data = np.array([*values, 0], np.float64 if kind == "floats" else np.int64)
    header = np.array([data.ctypes.data, len(values), len(values)], np.int64)
    keep += [data, header]
    return header.ctypes.data


def _result(kind: str, words: np.ndarray) -> Any:
    if kind == "float":
        return float(words[:1].view(np.float64)[0])
    if kind == "bool":
        return bool(words[0])
    count = int(words[0])
    if kind == "text":
        return bytes(words[1 : 1 + count].astype(np.uint8)).decode()
    if kind in ("ints", "floats"):
        return words[1 : 1 + count].view(np.float64 if kind == "floats" else np.int64).tolist()
    return count
