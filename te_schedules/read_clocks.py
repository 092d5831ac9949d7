"""rank.read_clocks: what time it is, for code that measures itself where nothing else can."""

from __future__ import annotations

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.column_group.kernel import OPERATOR

CLOCKS = {"wall": 1, "cpu": 2}  # Linux' CLOCK_MONOTONIC and CLOCK_PROCESS_CPUTIME_ID

_READ = """
declare i32 @clock_gettime(i32, ptr)
define linkonce_odr i64 @rank_clock(i32 %clock) {
  %time = alloca [2 x i64], align 8
  %status = call i32 @clock_gettime(i32 %clock, ptr %time)
  %seconds = load i64, ptr %time, align 8
  %place = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %place, align 8
  %whole = mul i64 %seconds, 1000000000
  %ns = add i64 %whole, %rest
  ret i64 %ns
}
"""


def prim_func(name: str = "read_clocks"):
    """The kernel: given (n,) int64 -> times (2,) int64, nanoseconds of CLOCKS. For systems of 64 bits.

    given: what is known just before; a kernel without arguments would be a constant to TVM."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        # opaque: neither fused nor moved
        T.func_attr({"global_symbol": name, "tirx.is_host_func": True, "op_pattern": 8, OPERATOR: "rank.read_clocks"})
        given, p_times = T.arg("p_given", T.handle()), T.arg("p_times", T.handle())
        T.match_buffer(given, (T.int64(),), "int64", align=8)
        times = T.match_buffer(p_times, (len(CLOCKS),), "int64", align=8)
        with intrin.imports(), T.attr(0, "pragma_import_llvm", _READ):
            for k, clock in enumerate(CLOCKS.values()):
                T.buffer_store(times, T.call_extern("int64", "rank_clock", T.int32(clock)), [k])
    return builder.get()
