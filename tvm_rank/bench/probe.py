"""A library for servers: what code there may read of its machine, and where tensors lie there.

read_file(path (P,) uint8, text (T,) uint8, size (1,) int64)       the first T bytes of a file, whose name ends with a zero
address_of(tensor (n,) uint8, address (1,) int64)
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

from tvm_rank.artifact.link import link

TEXT_BYTES = 1 << 16  # of a file, at most; the first processor's entry of /proc/cpuinfo has 2,000
OLDEST = {"x86_64": ("x86_64-linux-gnu", "x86-64"), "aarch64": ("aarch64-linux-gnu", "generic")}  # triple, CPU that all have

_READ = """
declare i32 @open(ptr, i32, ...)
declare i64 @read(i32, ptr, i64)
declare i32 @close(i32)
define linkonce_odr i64 @bench_read(i64 %path, i64 %text, i64 %most) {
entry:
  %name = inttoptr i64 %path to ptr
  %file = call i32 (ptr, i32, ...) @open(ptr %name, i32 0)
  %bad = icmp slt i32 %file, 0
  br i1 %bad, label %none, label %loop
loop:
  %done = phi i64 [0, %entry], [%next, %more]
  %place = add i64 %text, %done
  %target = inttoptr i64 %place to ptr
  %left = sub i64 %most, %done
  %got = call i64 @read(i32 %file, ptr %target, i64 %left)
  %end = icmp sle i64 %got, 0
  br i1 %end, label %shut, label %more
more:
  %next = add i64 %done, %got
  br label %loop
shut:
  call i32 @close(i32 %file)
  ret i64 %done
none:
  ret i64 0
}
"""

_CALL = """
declare i64 @syscall(i64, ...)
define linkonce_odr i64 @bench_call(i64 %number, i64 %first, i64 %second) {
  %result = call i64 (i64, ...) @syscall(i64 %number, i64 %first, i64 %second)
  ret i64 %result
}
"""


def write(machine: str, path: pathlib.Path) -> None:
    """Build it for the oldest processor of a kind of machine. Raises ArtifactError when nothing here can link it."""
    import tvm
    from tvm.script.ir_builder import tirx as T

    from te_schedules import intrin
    from te_schedules.lower import PIPELINE

    def read(name: Any, text: Any, size: Any) -> None:
        found = T.call_extern("int64", "bench_read", intrin.address_of(name), intrin.address_of(text), text.shape[0])
        T.buffer_store(size, found, [0])

    def address(tensor: Any, out: Any) -> None:
        T.buffer_store(out, intrin.address_of(tensor), [0])

    def call(given: Any, result: Any) -> None:
        T.buffer_store(result, T.call_extern("int64", "bench_call", given[0], given[1], given[2]), [0])

    made = {
        "read_file": _function("read_file", read, ["uint8", "uint8", "int64"], _READ),
        "address_of": _function("address_of", address, ["uint8", "int64"], ""),
        "system_call": _function("system_call", call, ["int64", "int64"], _CALL),
    }
    triple, cpu = OLDEST[machine]
    target = tvm.target.Target({"kind": "llvm", "mtriple": triple, "mcpu": cpu})
    link(tvm.tirx.build(tvm.IRModule(made), target=target, pipeline=PIPELINE), path, machine)


def _function(name: str, body: Callable[..., None], types: list[str], llvm: str) -> Any:
    """`name(vector, ...)` of these dtypes, each of any length."""
    import contextlib

    from tvm.script.ir_builder import IRBuilder
    from tvm.script.ir_builder import tirx as T

    from te_schedules import intrin

    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"global_symbol": name, "tirx.noalias": True, "tirx.is_host_func": True})
        handles = [T.arg(f"p{k}", T.handle()) for k in range(len(types))]
        buffers = [T.match_buffer(handle, (T.int64(),), dtype, align=1) for handle, dtype in zip(handles, types, strict=True)]
        code = T.attr(0, "pragma_import_llvm", llvm) if llvm else contextlib.nullcontext()
        with intrin.imports(), code:
            body(*buffers)
    return builder.get()
