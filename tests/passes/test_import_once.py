"""ImportOnce: before and after give the same, and each text is imported once."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.import_once import IMPORT, import_once
from te_schedules.lower import PIPELINE

TWICE = "define linkonce_odr i64 @rank_test_twice(i64 %a) alwaysinline {\n  %r = add i64 %a, %a\n  ret i64 %r\n}\n"
NEXT = "define linkonce_odr i64 @rank_test_next(i64 %a) alwaysinline {\n  %r = add i64 %a, 1\n  ret i64 %r\n}\n"


def kernel() -> tirx.PrimFunc:
    """out[i] = 2 i below 3, else i + 1 + 2 i; imports stand in branches, in each other, and in loops of both kinds."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        n = T.int64()
        out = T.match_buffer(T.arg("out", T.handle()), (n,), "int64", align=8)
        left = T.alloc_buffer((1,), "int64", scope="global")

        def twice(value):
            return T.call_extern("int64", "rank_test_twice", value)

        T.buffer_store(left, n, [0])
        with T.While(left[0] > 0):
            i = left[0] - 1
            with T.If(i < 3):
                with T.Then(), T.attr(0, IMPORT, TWICE):
                    T.buffer_store(out, twice(i), [i])
                with T.Else(), T.attr(0, IMPORT, NEXT), T.attr(0, IMPORT, TWICE):
                    T.buffer_store(out, T.call_extern("int64", "rank_test_next", i), [i])
                    with T.serial(1) as k, T.attr(0, IMPORT, TWICE):
                        T.buffer_store(out, out[i + k] + twice(i), [i])
            T.buffer_store(left, i, [0])
    return builder.get()


def imports_of(func: tirx.PrimFunc) -> int:
    return func.script().count(IMPORT)


def test_each_text_is_imported_once_and_results_stay():
    lowered = tvm.transform.Sequential([tvm.s_tir.transform.LowerOpaqueBlock()])(tvm.IRModule({"main": kernel()}))
    once = import_once(lowered)["main"]
    assert (imports_of(lowered["main"]), imports_of(once)) == (4, 2)
    assert once.body.attr_key == once.body.body.attr_key == IMPORT  # at the begin
    again = import_once(tvm.IRModule({"main": once}))["main"]
    tvm.ir.assert_structural_equal(again, import_once(tvm.IRModule({"main": again}))["main"])
    out = np.zeros(7, np.int64)
    tvm.tirx.build(tvm.IRModule({"main": kernel()}), target=tvm.target.Target({"kind": "llvm"}), pipeline=PIPELINE)["main"](out)
    i = np.arange(7)
    np.testing.assert_array_equal(out, np.where(i < 3, 2 * i, i + 1 + 2 * i))


def test_a_function_without_imports_is_left_alone():
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.buffer_store(T.match_buffer(T.arg("out", T.handle()), (1,), "int64"), T.int64(1), [0])
    func = builder.get()
    tvm.ir.assert_structural_equal(import_once(tvm.IRModule({"main": func}))["main"], func)
