"""Dense layers in bf16 on a GPU's tensor cores: bias and activation are applied to the sums before they are written.

A group of 32 threads has 32 rows and 32 columns of the result (`tensor_cores.cuh`), a block of threads four of them side by side, which
read the same rows of x. x stays float32 and is rounded as it is read, so that a layer is one launch and writes what the next one reads.
"""

from __future__ import annotations

import functools
import pathlib
from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.column_group.kernel import OPERATOR
from te_schedules.dense.reduced.pack import bf16_bits

NAME = "rank.tensor_core_dense"
ACTIVATIONS = ("none", "relu", "sigmoid", "tanh")
ROWS, COLUMNS = 32, 32  # of the result, of 32 threads
_WARP, _WARPS = 32, 4
_STEP, _TILE = 16, 8  # inputs and columns of one instruction
_SOURCE = pathlib.Path(__file__).with_name("tensor_cores.cuh")


@dataclass(frozen=True, kw_only=True)
class TensorCoreLayer:
    """x (N, depth) f32 -> activation(x W + bias) (N, units) f32, products of bf16."""

    depth: int
    units: int
    activation: str

    @property
    def name(self) -> str:
        """Of the kernel."""
        return f"dense_{self.depth}x{self.units}_{self.activation}_bf16"

    @property
    def tiles(self) -> int:
        """Groups of columns of one instruction."""
        return -(-self.units // _TILE)

    @property
    def steps(self) -> int:
        """Instructions that a sum takes."""
        return -(-self.depth // _STEP)


def source() -> str:
    """The functions that kernels call."""
    return _SOURCE.read_text(encoding="utf-8")


def pack(weight: np.ndarray) -> np.ndarray:
    """weight (K, J) f32 -> (steps, tiles, 32, 2) int32, what each lane reads of each step and tile: inputs 2 (l % 4) and the next of column
    l / 4, in the low and the high half of a word, and the two inputs 8 behind them. Beyond K and J there are zeros."""
    depth, units = weight.shape
    steps, tiles = -(-depth // _STEP), -(-units // _TILE)
    padded = np.zeros((steps * _STEP, tiles * _TILE), np.uint32)
    padded[:depth, :units] = bf16_bits(weight)
    # (step, which 8 inputs, lane % 4, half, tile, lane / 4)
    parts = padded.reshape(steps, 2, 4, 2, tiles, _TILE)
    words = parts[:, :, :, 0] | parts[:, :, :, 1] << np.uint32(16)
    return np.ascontiguousarray(words.transpose(0, 3, 4, 2, 1).reshape(steps, tiles, _WARP, 2)).view(np.int32)


@functools.cache
def prim_func(layer: TensorCoreLayer) -> tirx.PrimFunc:
    """The kernel: x (N, depth) f32, packed weight, bias (units,) f32, out (N, units) f32; N is symbolic and at least 1."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(layer.name)
        flops = (2 * layer.depth + 1) * layer.units
        T.func_attr({"tirx.noalias": True, "op_pattern": 8, OPERATOR: NAME, "rank.flops": flops})
        handles = [T.arg(f"p_{name}", T.handle()) for name in ("x", "w", "bias", "out")]
        rows = T.int64()
        x = T.match_buffer(handles[0], (rows, layer.depth), "float32")
        w = T.match_buffer(handles[1], (layer.steps, layer.tiles, _WARP, 2), "int32")
        bias = T.match_buffer(handles[2], (layer.units,), "float32")
        out = T.match_buffer(handles[3], (rows, layer.units), "float32")
        columns = _WARPS * COLUMNS
        with (
            T.thread_binding((rows + T.int64(ROWS - 1)) // T.int64(ROWS), "blockIdx.x") as block,
            T.thread_binding(T.int64(-(-layer.units // columns)), "blockIdx.y") as group,
            T.thread_binding(T.int64(_WARPS * _WARP), "threadIdx.x") as thread,
            T.attr(0, "pragma_import_c", source()),
        ):
            tile = (group * T.int64(_WARPS) + thread // T.int64(_WARP)) * T.int64(COLUMNS // _TILE)
            constants = [layer.depth, layer.units, block * T.int64(ROWS), tile, ACTIVATIONS.index(layer.activation), thread]
            T.evaluate(T.call_extern("void", "rank_dense_bf16", x.data, w.data, bias.data, out.data, rows, *constants))
    return builder.get()
