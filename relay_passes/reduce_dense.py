"""Dense layers in bf16 or int8.

                                               w, l = rank.round_rows(x, factors)
    y = rank.dense(x, packed, bias, ...)  ->   y = rank.reduced_dense(w, l, packed in int8, factors and totals of its columns, bias, ...)

Which layers is the caller's choice, by their order in the graph. Layers of few outputs stay: their sums run along K, and they take no
time. So do layers whose weights are not all finite, and those that are too deep for int32 sums. Layers that read the same x share
its rounded rows when their factors are the same. `dense_layers` names what there is to choose from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import tvm
from tvm import relax

from relay_passes.graph import dataflow, op_name, with_bindings
from te_schedules.dense.layer import Layer
from te_schedules.dense.op import NAME, layer_of
from te_schedules.dense.pack import unpack
from te_schedules.dense.reduced.matrix import VECTORS, has_matrix_unit
from te_schedules.dense.reduced.op import reduced_dense, round_rows
from te_schedules.dense.reduced.pack import MOST_INPUTS, pack_bf16, pack_int8
from te_schedules.dense.reduced.products import products_for


@dataclass(frozen=True, eq=False)
class Reduction:
    """What becomes of one layer. precision: "bf16" or "int8" · factors (K,) f32: x is multiplied by them and the weight divided, so that
    inputs of different size share the levels of a row in int8; None for ones."""

    precision: str
    factors: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseLayer:
    """A dense layer of a graph: its number in graph order, its constants, and why it must stay in fp32 ("" when it need not).
    weight: (K, J) f32, of a layer that need not stay · mark: of its packed weight, as `mark_of` · is_first: no dense layer comes before x
    · is_last: none reads what it gives."""

    number: int
    depth: int
    units: int
    activation: str
    stays: str
    weight: np.ndarray | None
    mark: bytes
    is_first: bool
    is_last: bool


def dense_layers(mod: tvm.IRModule, function: str = "main") -> tuple[DenseLayer, ...]:
    """The dense layers of a function, in graph order."""
    block = dataflow(mod[function])
    behind: dict[relax.Var, frozenset[relax.Var]] = {}  # a value -> the layers that it comes from
    found: dict[relax.Var, tuple[relax.Call, bool]] = {}
    read: set[relax.Var] = set()
    for binding in [] if block is None else block.bindings:
        sources = _sources(binding.value, behind)
        if op_name(binding.value) == NAME:
            found[binding.var] = (binding.value, not _sources(binding.value.args[0], behind))
            read |= sources
            sources |= {binding.var}
        behind[binding.var] = sources
    return tuple(
        _described(k, call, is_first=is_first, is_last=var not in read) for k, (var, (call, is_first)) in enumerate(found.items())
    )


def _described(number: int, call: relax.Call, *, is_first: bool, is_last: bool) -> DenseLayer:
    layer = layer_of(call)
    why = stays(call, layer)
    packed = call.args[1].value.numpy() if isinstance(call.args[1], tvm.ir.GenericConst) else None
    return DenseLayer(
        number=number,
        depth=layer.depth,
        units=layer.units,
        activation=layer.activation,
        stays=why,
        weight=None if why or packed is None else unpack(packed, layer.units),
        mark=b"" if packed is None else mark_of(packed),
        is_first=is_first,
        is_last=is_last,
    )


def mark_of(packed: np.ndarray) -> bytes:
    """What tells a layer by the packed weight that its kernel is given."""
    return hashlib.blake2b(np.ascontiguousarray(packed).tobytes(), digest_size=16).digest()


def _sources(value: relax.Expr, behind: Mapping[relax.Var, frozenset[relax.Var]]) -> frozenset[relax.Var]:
    return frozenset().union(*(behind.get(var, frozenset()) for var in relax.analysis.free_vars(value)))


def stays(call: relax.Call, layer: Layer) -> str:
    """Why a layer must stay in fp32; "" when it need not."""
    if layer.width == 1:
        return "few outputs"
    if not isinstance(call.args[1], tvm.ir.GenericConst):
        return "its weight is not constant"
    if not np.isfinite(call.args[1].value.numpy()).all():
        return "its weights are not all finite"
    return "too many inputs" if layer.depth > MOST_INPUTS else ""


@tvm.transform.module_pass(opt_level=0, name="rank.ReduceDense")
class ReduceDense:
    """See the module's text. reductions: number of a layer in `function` -> what becomes of it · target: chooses the instructions ·
    matrix_unit: False not to use that of the target's CPU."""

    def __init__(
        self, reductions: Mapping[int, Reduction], target: tvm.target.Target, function: str = "main", *, matrix_unit: bool = True
    ):
        self.reductions, self.target, self.function, self.matrix_unit = reductions, target, function, matrix_unit

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with those layers reduced; unchanged when there are none."""
        block = dataflow(mod[self.function])
        if block is None or not self.reductions:
            return mod
        reducer, number = _Reducer(self.target, matrix_unit=self.matrix_unit), 0
        for binding in block.bindings:
            is_layer = op_name(binding.value) == NAME
            reduction = self.reductions.get(number) if is_layer else None
            number += is_layer
            reducer.add(binding, None if reduction is None or stays(binding.value, layer_of(binding.value)) else reduction)
        return with_bindings(mod, self.function, reducer.bindings)


class _Reducer:
    def __init__(self, target: tvm.target.Target, *, matrix_unit: bool):
        self.target, self.matrix_unit = target, matrix_unit
        self.bindings: list[relax.Binding] = []
        self.rounded: dict[tuple, list[relax.Expr]] = {}  # (x, precision, factors) -> words, and levels

    def add(self, binding: relax.Binding, reduction: Reduction | None) -> None:
        """Append what becomes of a binding."""
        self.bindings.append(
            binding if reduction is None else relax.VarBinding(binding.var, self._reduced(binding.value, reduction))
        )

    def _reduced(self, call: relax.Call, reduction: Reduction) -> relax.Call:
        old, lanes = layer_of(call), layer_of(call).tiles.lanes
        matrix = self.matrix_unit and has_matrix_unit(reduction.precision, self.target, lanes)
        layer = Layer(
            depth=old.depth,
            units=old.units,
            activation=old.activation,
            has_row_bias=old.has_row_bias,
            has_item_bias=old.has_item_bias,
            tiles=replace(old.tiles, vectors=VECTORS) if matrix else old.tiles,
            precision=reduction.precision,
            products=products_for(reduction.precision, self.target, lanes),
            matrix=matrix,
        )
        weight, precision = unpack(call.args[1].value.numpy(), layer.units), reduction.precision
        factors = np.ones(layer.depth, np.float32) if reduction.factors is None else reduction.factors
        weight = weight / factors[:, None]
        if precision == "bf16":
            arrays = [pack_bf16(weight, layer.tiles, layer.words)]
        else:
            kept = pack_int8(weight, layer.tiles, layer.products, layer.words)
            arrays = [kept.packed, kept.factors, kept.totals]
        own = [*self._rows(call.args[0], factors, layer), *map(relax.const, arrays), call.args[2]]
        return reduced_dense(own, call.args[3:], layer)

    def _rows(self, x: relax.Expr, factors: np.ndarray, layer: Layer) -> list[relax.Expr]:
        """Words of x, and in int8 their levels, bound once."""
        precision = layer.precision
        key = (x, precision, factors.tobytes(), layer.words)
        if key not in self.rounded:
            made = self._bind("rounded", round_rows(x, relax.const(factors), layer))
            names = ("words", "levels") if precision == "int8" else ()
            self.rounded[key] = [self._bind(name, relax.TupleGetItem(made, k)) for k, name in enumerate(names)] or [made]
        return self.rounded[key]

    def _bind(self, name: str, value: relax.Expr) -> relax.Var:
        value = relax.BlockBuilder().normalize(value)
        var = relax.DataflowVar(name, value.ty)
        self.bindings.append(relax.VarBinding(var, value))
        return var
