"""What this machine can do at most: fused multiply-adds, copies, and rows read at random, measured by small loops of our own.

    python -m tvm_rank.bench.ceilings THREADS [THREADS ...]      prints {threads: {name: figure}} as JSON

The loops are LLVM code, made for this CPU as kernels are, and run on the same threads. Each figure is the best of several rounds: a
ceiling is what was reached once; less was disturbed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tvm

ROW_BYTES = 64
TABLE_BYTES = 512 << 20  # far more than any cache
COPY_BYTES = 128 << 20  # of one buffer
ROUNDS, ROUND_S = 12, 0.02
SUMS = 12  # independent ones: enough to hide the latency of two units of 4 or 5 cycles
AHEAD = 24  # rows that are asked for before they are read
ROWS = 1 << 18  # of a round

_ROWS = f"""
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
define linkonce_odr void @bench_rows(i64 %table, i64 %index, i64 %out, i64 %n) noinline {{
entry:
  %t = inttoptr i64 %table to ptr
  %x = inttoptr i64 %index to ptr
  %o = inttoptr i64 %out to ptr
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %later = add i64 %i, {AHEAD}
  %xl = getelementptr i32, ptr %x, i64 %later
  %il = load i32, ptr %xl, align 4
  %wl = zext i32 %il to i64
  %bl = mul i64 %wl, {ROW_BYTES}
  %pl = getelementptr i8, ptr %t, i64 %bl
  call void @llvm.prefetch.p0(ptr %pl, i32 0, i32 3, i32 1)
  %xi = getelementptr i32, ptr %x, i64 %i
  %ii = load i32, ptr %xi, align 4
  %wi = zext i32 %ii to i64
  %bi = mul i64 %wi, {ROW_BYTES}
  %pi = getelementptr i8, ptr %t, i64 %bi
  %v = load <16 x float>, ptr %pi, align 4
  %slot = and i64 %i, 1023
  %bo = mul i64 %slot, {ROW_BYTES}
  %po = getelementptr i8, ptr %o, i64 %bo
  store <16 x float> %v, ptr %po, align 4
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def _fma_loop(lanes: int) -> str:
    """LLVM: `bench_fma(n, out)` does n turns of SUMS multiply-adds of `lanes` floats."""
    kind = f"<{lanes} x float>"

    def splat(value: float) -> str:
        return "<" + ", ".join([f"float {value:e}"] * lanes) + ">"

    phis = "".join(f"  %s{k} = phi {kind} [{splat(k)}, %entry], [%r{k}, %loop]\n" for k in range(SUMS))
    steps = "".join(
        f"  %r{k} = call {kind} @llvm.fma.v{lanes}f32({kind} %s{k}, {kind} {splat(0.5)}, {kind} {splat(1)})\n" for k in range(SUMS)
    )
    total = "".join(f"  %t{k} = fadd {kind} %{'t' if k > 1 else 'r'}{k - 1}, %r{k}\n" for k in range(1, SUMS))
    return f"""declare {kind} @llvm.fma.v{lanes}f32({kind}, {kind}, {kind})
define linkonce_odr void @bench_fma(i64 %n, i64 %out) noinline {{
entry:
  br label %loop
loop:
  %k = phi i64 [0, %entry], [%next, %loop]
{phis}{steps}  %next = add i64 %k, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
{total}  %p = inttoptr i64 %out to ptr
  store {kind} %t{SUMS - 1}, ptr %p, align 4
  ret void
}}
"""


def measure(threads: Sequence[int]) -> dict[int, dict[str, float]]:
    """For each number of threads: `gflops` of fused multiply-adds (two operations each, float32), `copy_gb_s` (bytes read and written),
    `row_ns` (of a row of 64 bytes of a 512 MB table, read at random and copied; all threads together)."""
    from te_schedules.dense import tiles_for
    from tvm_rank.runtime import tvm_runtime
    from tvm_rank.target import resolve

    target = resolve("cpu").tvm_target
    lanes = tiles_for(target).lanes
    code = _kernels(target, lanes)
    most, turns = max(threads), 1 << 16
    rng = np.random.default_rng(0)
    table = np.ones((TABLE_BYTES // ROW_BYTES, ROW_BYTES // 4), np.float32)
    index = rng.integers(0, len(table), most * ROWS + AHEAD, dtype=np.int32)
    copied, out = np.ones((2, COPY_BYTES), np.uint8), np.zeros((most, 1024 * ROW_BYTES), np.uint8)
    found = {}
    for count in sorted(threads, reverse=True):  # a pool of threads cannot grow
        tvm_runtime.use_threads(count)
        fma = _best(code["fma"], count, turns, out.ctypes.data)
        copy = _best(code["copy"], count, COPY_BYTES // count, copied.ctypes.data, copied[1].ctypes.data)
        rows = _best(code["rows"], count, ROWS, table.ctypes.data, index.ctypes.data, out.ctypes.data)
        found[count] = {
            "gflops": round(count * turns * SUMS * lanes * 2 / fma / 1e9, 1),
            "copy_gb_s": round(2 * COPY_BYTES / copy / 1e9, 2),
            "row_ns": round(rows / (count * ROWS) * 1e9, 2),
        }
    return found


def _best(kernel: Callable[..., Any], *arguments: int) -> float:
    """The least seconds of a call, over some rounds."""
    kernel(*arguments)
    best = float("inf")
    for _ in range(ROUNDS):
        end = time.perf_counter() + ROUND_S
        while True:
            started = time.perf_counter()
            kernel(*arguments)
            now = time.perf_counter()
            best = min(best, now - started)
            if now > end:
                break
    return best


def _kernels(target: tvm.target.Target, lanes: int) -> tvm.runtime.Module:
    """`fma`, `copy` and `rows`, each with the number of parallel tasks, their size, and addresses."""
    import tvm
    from tvm.script.ir_builder import tirx as T

    from te_schedules import intrin
    from te_schedules.lower import PIPELINE

    def extern(name: str, *arguments: Any) -> None:
        T.evaluate(T.call_extern("void", name, *arguments))

    def fma(task: Any, size: Any, out: Any) -> None:
        extern("bench_fma", size, out + task * T.int64(1024 * ROW_BYTES))

    def copy(task: Any, size: Any, source: Any, target: Any) -> None:
        intrin.copy(target + task * size, source + task * size, size)

    def rows(task: Any, size: Any, table: Any, index: Any, out: Any) -> None:
        extern("bench_rows", table, index + task * size * T.int64(4), out + task * T.int64(1024 * ROW_BYTES), size)

    functions = {"fma": _function("fma", fma, 1, _fma_loop(lanes)), "copy": _function("copy", copy, 2, "")}
    functions["rows"] = _function("rows", rows, 3, _ROWS)
    return tvm.tirx.build(tvm.IRModule(functions), target=target, pipeline=PIPELINE)


def _function(name: str, body: Callable[..., None], addresses: int, llvm: str) -> tvm.tirx.PrimFunc:
    """`name(tasks, size, address, ...)`, all int64: the body for each task, in parallel."""
    import contextlib

    from tvm.script.ir_builder import IRBuilder
    from tvm.script.ir_builder import tirx as T

    from te_schedules import intrin

    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True})
        tasks, size, *given = (T.arg(f"a{k}", T.int64()) for k in range(2 + addresses))
        loops = T.attr(0, "pragma_import_llvm", llvm) if llvm else contextlib.nullcontext()
        with intrin.imports(), loops, T.parallel(tasks) as task:
            body(task, size, *given)
    return builder.get()


if __name__ == "__main__":
    print(json.dumps(measure([int(word) for word in sys.argv[1:]])))  # noqa: T201
