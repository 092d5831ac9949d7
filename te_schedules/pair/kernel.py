"""The kernel of `rank.pair_layers` on CPU: items in parallel, all layers of one item in its thread's caches.

1. The item's matrix, diag(query) product + direct, is written in the order of a packed weight: K x J0 numbers.
2. The layers run one behind the other over the L positions, by the register tiles of the dense layer (`te_schedules/dense`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.kernel import emit_panel
from te_schedules.dense.layer import LAYER, Buffers, Layer

_ALIGN = 4  # of every tensor: a caller's array need not begin at a vector boundary


@dataclass(frozen=True, kw_only=True)
class PairLayers:
    """The compile-time constants of the operator."""

    length: int  # L, positions of a sequence
    layers: tuple[Layer, ...]
    taken: bool  # keys are read through an index

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> PairLayers:
        """What `described` was given of. Raises ValueError or TypeError for anything else."""
        return cls(**{**described, "layers": tuple(Layer.of(layer) for layer in described["layers"])})

    def described(self) -> dict[str, Any]:
        """The constants, as JSON has them."""
        return asdict(self)

    @property
    def name(self) -> str:
        """The kernel's name, whatever its tiles are."""
        return f"pair_{self.length}x{self.layers[0].depth}x{'x'.join(str(layer.units) for layer in self.layers)}"

    @property
    def flops(self) -> int:
        """Floating-point operations for one item: its matrix, and all layers for each position."""
        first = self.layers[0]
        return 2 * first.depth * first.units + self.length * sum(layer.flops for layer in self.layers)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tensors:
    query: tirx.Buffer
    keys: tirx.Buffer
    row_bias: tirx.Buffer
    product: tirx.Buffer
    direct: tirx.Buffer
    further: list[tuple[tirx.Buffer, tirx.Buffer]]
    index: tirx.Buffer | None
    out: tirx.Buffer


def pair_func(pair: PairLayers, name: str = "pair_layers") -> tirx.PrimFunc:
    """The function, with destination passing: the arguments in the order of the operator, then out (N, L, J)."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True, "rank.op": "rank.pair_layers", "rank.flops": pair.flops, "op_pattern": 8})
        T.func_attr({LAYER: json.dumps(pair.described())})
        rows, tensors = _declare(pair)
        with T.parallel(rows) as item:
            _emit_item(pair, tensors, item)
    return builder.get()


def _declare(pair: PairLayers) -> tuple[tirx.Var, _Tensors]:
    first, last = pair.layers[0], pair.layers[-1]
    rows, requests = T.int64(), T.int64()
    shapes: dict[str, tuple] = {
        "query": (rows, first.depth),
        "keys": (requests if pair.taken else rows, pair.length, first.depth),
        "row_bias": (rows, first.units),
        "product": (first.panels, first.depth, first.width),
        "direct": (first.panels, first.depth, first.width),
    }
    for k, layer in enumerate(pair.layers[1:]):
        shapes |= {f"weight{k}": (layer.panels, layer.depth, layer.width), f"bias{k}": (layer.units,)}
    if pair.taken:
        shapes["index"] = (rows,)
    shapes["out"] = (rows, pair.length, last.units)
    handles = {name: T.arg(name, T.handle()) for name in shapes}
    found = {
        name: T.match_buffer(handles[name], shape, "int32" if name == "index" else "float32", align=_ALIGN)
        for name, shape in shapes.items()
    }
    further = [(found.pop(f"weight{k}"), found.pop(f"bias{k}")) for k in range(len(pair.layers) - 1)]
    return rows, _Tensors(**{"index": None, **found}, further=further)


def _view(buffer: tirx.Buffer, shape: tuple, first) -> tirx.Buffer:
    """A tensor of that shape which begins at element `first` of a buffer."""
    return T.decl_buffer(shape, "float32", data=buffer.data, elem_offset=first, align=_ALIGN)


def _emit_item(pair: PairLayers, tensors: _Tensors, item) -> None:
    first, length = pair.layers[0], tirx.const(pair.length, "int64")
    matrix = T.alloc_buffer((first.panels, first.depth, first.width), "float32", scope="global")
    _emit_matrix(first, tensors, item, matrix)
    row = item
    if tensors.index is not None:
        last = tensors.keys.shape[0] - tirx.const(1, "int64")
        row = T.bind(T.max(T.min(T.cast(tensors.index[item], "int64"), last), tirx.const(0, "int64")))
    x = _view(tensors.keys, (pair.length, first.depth), row * (length * first.depth))
    bias = _view(tensors.row_bias, (first.units,), item * first.units)
    weights = [(matrix, bias), *tensors.further]
    for layer, (packed, constants) in zip(pair.layers, weights, strict=True):
        if layer is pair.layers[-1]:
            out = _view(tensors.out, (pair.length, layer.units), item * (length * layer.units))
        else:
            out = T.alloc_buffer((pair.length, layer.units), "float32", scope="global")
        if layer.width == 1:  # (J, K, 1) seen as (J, K)
            packed = T.decl_buffer((layer.units, layer.depth), "float32", data=packed.data, align=_ALIGN)
        buffers = Buffers(x=x, packed=packed, bias=constants, out=out)
        with T.serial(tirx.const(layer.tasks_per_chunk, "int64")) as panel:
            emit_panel(layer, buffers, tirx.const(0, "int64"), length, panel)
        x = out


def _emit_matrix(layer: Layer, tensors: _Tensors, item, matrix: tirx.Buffer) -> None:
    """matrix = diag(query[item]) product + direct"""
    lanes = layer.tiles.lanes if layer.width > 1 else 1
    with T.serial(layer.panels) as p, T.serial(layer.depth) as k, T.serial(layer.width // lanes) as v:
        columns = T.ramp(v * lanes, 1, lanes) if lanes > 1 else v
        scale = tensors.query[item, k]
        scale = T.broadcast(scale, lanes) if lanes > 1 else scale
        T.buffer_store(matrix, tensors.direct[p, k, columns] + scale * tensors.product[p, k, columns], [p, k, columns])
