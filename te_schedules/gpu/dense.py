"""Dense layers on a GPU, in float32 or on tensor cores (bf16, fp16, tf32): bias and activation are applied to the sums before they are
written (`dense.cuh`).

x stays float32 and is rounded as it is read, so that a layer is one launch and writes what the next one reads. A layer of few outputs takes
a warp for each row, in float32. Which work a warp has in all others is chosen at each launch, by the number of rows (`GpuDense`).
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.column_group.kernel import OPERATOR
from te_schedules.dense.layer import LAYER
from te_schedules.gpu.dense_model import FORMS, GpuDense, modelled
from te_schedules.gpu.figures import current
from te_schedules.gpu.rounded import rounded_bits

NAME = "rank.gpu_dense"
PRECISIONS = ("fp32", "bf16", "fp16", "tf32")  # by their numbers in `dense.cuh`
ACTIVATIONS = ("none", "relu", "sigmoid", "tanh")
FEW = 4  # outputs of a layer that has a warp for each row
_WARP, _ROW_WARPS = 32, 4
_TILE = 8  # columns that the lanes of a warp have side by side
_SOURCE = pathlib.Path(__file__).with_name("dense.cuh")


@dataclass(frozen=True, kw_only=True)
class GpuLayer:
    """x (N, depth) f32 -> activation(x W + bias) (N, units) f32. knobs: None for those that are modelled for the GPU of the target around."""

    depth: int
    units: int
    activation: str
    precision: str = "fp32"
    knobs: GpuDense | None = field(default=None)

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> GpuLayer:
        """The layer that `described` gave."""
        return cls(**{**described, "knobs": GpuDense(**described["knobs"])})

    def described(self) -> dict[str, Any]:
        """The constants, as JSON has them."""
        return {**asdict(self), "knobs": asdict(self.chosen)}

    @property
    def name(self) -> str:
        """Of the kernel: what the layer computes, whatever its knobs are."""
        precision = "" if self.precision == "fp32" else f"_{self.precision}"
        return f"dense_{self.depth}x{self.units}_{self.activation}{precision}"

    @property
    def has_few(self) -> bool:
        """Whether a warp has all outputs of a row."""
        return self.units <= FEW and self.precision == "fp32"

    @property
    def chosen(self) -> GpuDense:
        """The knobs."""
        return self.knobs or modelled(self.depth, self.units, self.precision, current())

    @property
    def packed_shape(self) -> tuple[int, ...]:
        """Of what `pack` gives."""
        if self.has_few:
            return (self.units, -(-self.depth // 4) * 4)
        inputs, lanes, words = (4, 4, 8) if self.precision == "fp32" else (16, 32, 4 if self.precision == "tf32" else 2)
        return (-(-self.depth // inputs), -(-self.units // _TILE), lanes, words)


def source() -> str:
    """The functions that kernels call."""
    return _SOURCE.read_text(encoding="utf-8")


def pack(weight: np.ndarray, layer: GpuLayer) -> np.ndarray:
    """weight (K, J) f32 -> `layer.packed_shape`, what each lane reads of each step and 8 columns; zeros beyond K and J.

    few outputs             f32, the transpose
    fp32 (, , 4, 8)         the bits of four inputs of columns 2 q and the next, for q = 0 to 3
    bf16, fp16 (, , 32, 2)  inputs 4 q to 4 q + 3 of column g, lane 4 g + q, the earlier of two in the low half of a word
    tf32 (, , 32, 4)        the same inputs, one in a word
    """
    depth, units = weight.shape
    if layer.has_few:
        padded = np.zeros(layer.packed_shape, np.float32)
        padded[:, :depth] = weight.T
        return padded
    steps, tiles, lanes, words = layer.packed_shape
    inputs = 4 if layer.precision == "fp32" else 16
    padded = np.zeros((steps * inputs, tiles * _TILE), np.uint32)
    padded[:depth, :units] = rounded_bits(weight, layer.precision)
    if layer.precision == "fp32":
        made = padded.reshape(steps, 4, tiles, 4, 2).transpose(0, 2, 3, 1, 4)
    else:
        made = padded.reshape(steps, 4, 4, tiles, _TILE).transpose(0, 3, 4, 1, 2)
        if words == 2:
            made = made[..., ::2] | made[..., 1::2] << np.uint32(16)
    return np.ascontiguousarray(made).reshape(steps, tiles, lanes, words).view(np.int32)


def prim_func(layer: GpuLayer, name: str = "") -> tirx.PrimFunc:
    """The kernel: x (N, depth) f32, packed weight, bias (units,) f32, out (N, units) f32; N is symbolic and at least 1. name: the
    layer's own for ""."""
    return _prim_func(layer if layer.has_few else replace(layer, knobs=layer.chosen), name)


@functools.cache
def _prim_func(layer: GpuLayer, name: str) -> tirx.PrimFunc:
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name or layer.name)
        flops = (2 * layer.depth + 1) * layer.units
        described = {} if layer.has_few else {LAYER: json.dumps(layer.described())}
        T.func_attr({"tirx.noalias": True, "op_pattern": 8, OPERATOR: NAME, "rank.flops": flops, **described})
        handles = [T.arg(f"p_{buffer}", T.handle()) for buffer in ("x", "w", "bias", "out")]
        rows = T.int64()
        x = T.match_buffer(handles[0], (rows, layer.depth), "float32")
        w = T.match_buffer(handles[1], layer.packed_shape, "float32" if layer.has_few else "int32")
        bias = T.match_buffer(handles[2], (layer.units,), "float32")
        out = T.match_buffer(handles[3], (rows, layer.units), "float32")
        blocks, warps, function, constants = _launched(layer, rows)
        with (
            T.thread_binding(blocks, "blockIdx.x"),
            T.thread_binding(T.int64(warps * _WARP), "threadIdx.x"),
            T.attr(0, "pragma_import_c", source()),
        ):
            T.evaluate(T.call_extern("void", function, x.data, w.data, bias.data, out.data, rows, *constants))
    return builder.get()


def _launched(layer: GpuLayer, rows: Any) -> tuple[Any, int, str, list[int]]:
    """(blocks, warps of one, the function, its last arguments)"""
    activation = ACTIVATIONS.index(layer.activation)
    if layer.has_few:
        function = f"rank_dense_rows<{layer.units}, {_ROW_WARPS}>"
        return T.floordiv(rows + (_ROW_WARPS - 1), T.int64(_ROW_WARPS)), _ROW_WARPS, function, [
            layer.depth,
            layer.packed_shape[1],
            activation,
        ]  # fmt: skip
    knobs = layer.chosen
    small, middle, large = (_blocks(layer.units, *FORMS[form].tile, rows) for form in ("small", "middle", "large"))
    blocks = T.Select(rows <= T.int64(knobs.small_rows), small, T.Select(rows <= T.int64(knobs.middle_rows), middle, large))
    function = f"rank_dense<{PRECISIONS.index(layer.precision)}, {knobs.warps}>"
    return blocks, knobs.warps, function, [layer.depth, layer.units, activation, knobs.small_rows, knobs.middle_rows]


def _blocks(units: int, tile_rows: int, tile_columns: int, rows: Any) -> Any:
    return T.floordiv(rows + (tile_rows - 1), T.int64(tile_rows)) * T.int64(-(-units // tile_columns))
