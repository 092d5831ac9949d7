"""Rows of x as the dense layers of a GPU round them, computed by a CPU, where scores are judged that a GPU will give.

Integers do it, since not every CPU has the types. `tvm_rank.ops.reduced_dense.rounded_rows` is what they compute.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import tvm
from tvm import te, tirx

from te_schedules.gpu.rounded import LARGEST_FP16

_LEAST_NORMAL = 2.0**-14  # of fp16; what is smaller is a multiple of the least
_LEAST = 2.0**-24


def name_of(depth: int, precision: str) -> str:
    """Of the kernel."""
    return f"round_{depth}_{precision}"


@functools.cache
def prim_func(depth: int, precision: str) -> tirx.PrimFunc:
    """x (N, depth) f32, out (N, depth) f32; N is symbolic."""
    shape = (te.var("n", "int64"), tirx.const(depth, "int64"))  # as TVM has them in graphs: what it fuses must agree
    x = te.placeholder(shape, "float32", "x")
    out = te.compute(x.shape, lambda n, k: _ROUNDED[precision](x[n, k]), "out")
    return te.create_prim_func([x, out]).with_attr("global_symbol", name_of(depth, precision))


def _bf16(v: Any) -> Any:
    bits = tirx.reinterpret("int32", v)
    return _known(v, (bits + 0x7FFF + ((bits >> 16) & 1)) & _int32(-0x10000))


def _tf32(v: Any) -> Any:
    return _known(v, (tirx.reinterpret("int32", v) + 0x1000) & _int32(-0x2000))


def _fp16(v: Any) -> Any:
    bits, size, largest = tirx.reinterpret("int32", v), tirx.abs(v), _float(LARGEST_FP16)
    normal = _known(v, (bits + 0xFFF + ((bits >> 13) & 1)) & _int32(-0x2000))
    small = tirx.nearbyint(v * _float(1 / _LEAST)) * _float(_LEAST)
    near = tirx.Select(size < _float(_LEAST_NORMAL), small, normal)
    return tirx.Select(size > largest, tirx.Select(v > _float(0), largest, -largest), near)


def _known(v: Any, bits: Any) -> Any:
    """The number with these bits; what is no number stays none."""
    return tirx.Select(v != v, v, tirx.reinterpret("float32", bits))


def _float(value: float) -> tvm.tirx.PrimExpr:
    return tirx.const(value, "float32")


def _int32(value: int) -> tvm.tirx.PrimExpr:
    return tirx.const(value, "int32")


_ROUNDED: Mapping[str, Callable[[Any], Any]] = {"bf16": _bf16, "fp16": _fp16, "tf32": _tf32}
