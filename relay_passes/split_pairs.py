"""Take out of attention units what does not belong to a pair of item and position.

    q = broadcast_to(expand_dims(item, 1), (N, L, K))          b = rank.dense(item, W1 + W3, bias)                      N rows
    k = take(click, item_request)                      ->      y = rank.pair_layers(item, click, b, {product: W4,
    h = concat(q, k, q - k, q * k)                                  direct: W2 - W3}, V ..., item_request)              N L pairs
    y = rank.dense(rows of h, W) ... rank.dense(V)

The first layer over (N L) rows distributes over its terms (`linear.py`): what depends on the item alone becomes a bias of N rows, the
key's own part goes into the item's matrix, and only the product is paid for each pair. The layers that follow, with nothing between
them, run behind it in the same kernel. Keys may be the request's, then they are never tiled, or the item's own.

    matmul(expand_dims(w, 1), take(click, item_request))       ->      rank.pair_pool(w, click, item_request)

What is no such unit (no product, or two; parts of the request that are not the keys) is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax

from relay_passes.graph import INDEX, call_of, extents, op_name, rewritten, same_extents, taken
from relay_passes.linear import Opener, Rows, Term, weights_of
from te_schedules.dense import DenseTiles, pack
from te_schedules.dense.op import NAME as DENSE
from te_schedules.dense.op import dense, layer_of
from te_schedules.dense.pack import unpack
from te_schedules.pair.op import Further, pair_layers
from te_schedules.pair.pool import pair_pool


@tvm.transform.module_pass(opt_level=0, name="rank.SplitPairs")
class SplitPairs:
    """See the module's text. `tiles` are the target's; `function` is the one to rewrite, `index` the name of its parameter (N,) int32."""

    def __init__(self, tiles: DenseTiles, function: str = "main", index: str = INDEX):
        self.tiles, self.function, self.index = tiles, function, index

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with the function rewritten; unchanged when it has no attention units."""

        def split(index: relax.Var, block: relax.DataflowBlock) -> list[relax.Binding] | None:
            splitter = _Splitter(index, block, self.tiles)
            for binding in block.bindings:
                splitter.add(binding)
            return splitter.bindings if splitter.changed else None

        return rewritten(mod, self.function, self.index, split)


@dataclass(frozen=True, eq=False)
class _Unit:
    """What the terms of a first layer are: query (N, K), keys with their index, and the weights of each part."""

    query: relax.Expr
    keys: relax.Expr
    index: relax.Var | None
    product: np.ndarray
    direct: np.ndarray
    items: dict[relax.Var, np.ndarray]


class _Splitter:
    def __init__(self, index: relax.Var, block: relax.DataflowBlock, tiles: DenseTiles):
        self.index, self.tiles = index, tiles
        self.values: dict[relax.Expr, relax.Expr] = {binding.var: binding.value for binding in block.bindings}
        self.uses: Counter = Counter(var for value in self.values.values() for var in relax.analysis.free_vars(value))
        self.users = {var: user for user, value in self.values.items() for var in relax.analysis.free_vars(value)}
        self.opener = Opener(self.values, self._source)
        self.bindings: list[relax.Binding] = []
        self.inside: dict[relax.Expr, relax.Call] = {}  # the last reshape of a unit -> its call
        self.changed = False

    def add(self, binding: relax.Binding) -> None:
        """Append what becomes of a binding."""
        var, value = binding.var, binding.value
        if op_name(value) == DENSE:
            self._find_unit(var, value)
        call = self.inside.get(var)
        if call is None and op_name(value) == "relax.matmul":
            call = self._pooled(value)
        self.changed |= call is not None
        self.bindings.append(binding if call is None else relax.VarBinding(var, call))

    def _bind(self, name: str, call: relax.Call) -> relax.Var:
        call = relax.BlockBuilder().normalize(call)
        var = relax.DataflowVar(name, call.ty)
        self.bindings.append(relax.VarBinding(var, call))
        return var

    # ---- what a value of (N, L, K) is made of

    def _source(self, var: relax.Expr) -> tuple[relax.Var, Rows] | None:
        """The value with fewer rows that a tensor (N, L, K) is a copy of."""
        value, shape = self.values.get(var), extents(var)
        if len(shape) != 3:
            return None
        if (source := taken(value, self.index)) is not None:
            return source, Rows.REQUEST
        spread = call_of(value, "relax.broadcast_to")
        row = spread.args[0] if spread is not None else var
        if len(extents(row)) == 3 and _is(extents(row)[1], 1) and same_extents(extents(row)[:1], extents(self.index)):
            made = call_of(self.values.get(row), "relax.expand_dims", "relax.reshape")
            if made is not None and same_extents(extents(made.args[0]), [shape[0], shape[2]]):
                return made.args[0], Rows.ITEM
        return None

    def _keys(self, var: relax.Expr) -> tuple[relax.Expr, relax.Var | None] | None:
        """(keys, index) of a tensor (N, L, K) that is read for each position."""
        source = self._source(var)
        if source is None:
            return (var, None) if isinstance(var, relax.Var) else None
        return (source[0], self.index) if source[1] == Rows.REQUEST else None

    # ---- units

    def _find_unit(self, var: relax.Var, call: relax.Call) -> None:
        """Note the call that replaces the layers from this one on, if they are a unit."""
        back = self._only_user(var, "relax.reshape")
        rows = call_of(self.values.get(call.args[0]), "relax.reshape")
        if len(call.args) != 3 or back is None or rows is None or back in self.inside:
            return
        x = rows.args[0]
        if not self._are_positions(x) or not same_extents(extents(back)[:2], extents(x)[:2]):
            return
        layer = layer_of(call)
        unit = self._unit(self.opener.terms(x), unpack(call.args[1].value.numpy(), layer.units))
        if unit is None:
            return
        further, last = self._further(back, extents(x)[:2])
        self.inside[last] = self._call(unit, call, further)

    def _are_positions(self, x: relax.Expr) -> bool:
        shape = extents(x)
        return len(shape) == 3 and same_extents(shape[:1], extents(self.index)) and all(map(_is_constant, shape[1:]))

    def _only_user(self, var: relax.Var, operator: str) -> relax.Var | None:
        user = self.users.get(var) if self.uses[var] == 1 else None
        return user if user is not None and op_name(self.values[user]) == operator else None

    def _unit(self, terms: Sequence[Term], weight: np.ndarray) -> _Unit | None:
        own = [term for term in terms if term.rows == Rows.OWN]
        products = [term for term in own if op_name(self.values.get(term.value)) == "relax.multiply"]
        if len({term.value for term in products}) != 1:
            return None
        factors = self._factors(self.values[products[0].value])
        if factors is None:
            return None
        query, read, (keys, index) = factors
        others = [t for t in terms if t.rows != Rows.ITEM and t not in products]
        if any(t.value not in (keys, read) for t in others):
            return None
        (product,) = weights_of(products, weight).values()
        direct = sum(weights_of(others, weight).values(), np.zeros_like(product))
        items = weights_of([t for t in terms if t.rows == Rows.ITEM], weight)
        return _Unit(query, keys, index, product, direct, items or {query: np.zeros_like(product)})

    def _factors(self, value: relax.Call) -> tuple[relax.Expr, relax.Expr, tuple] | None:
        """(query (N, K), the tensor of the keys, (keys, index)) of a product for each position."""
        for one, other in (value.args, reversed(list(value.args))):
            source = self._source(one)
            if source is not None and source[1] == Rows.ITEM and same_extents(extents(other), extents(value)):
                keys = self._keys(other)
                return None if keys is None else (source[0], other, keys)
        return None

    def _further(self, back: relax.Var, leading: list) -> tuple[list[Further], relax.Var]:
        """The layers behind one whose result is `back`, and the tensor (N, L, J) of the last of them."""
        found: list[Further] = []
        while True:
            rows = self._only_user(back, "relax.reshape")
            layer = self._only_user(rows, DENSE) if rows is not None else None
            call = self.values[layer] if layer is not None else None
            after = self._only_user(layer, "relax.reshape") if layer is not None else None
            if call is None or after is None or len(call.args) != 3 or call.args[0] != rows:
                return found, back
            if len(extents(after)) != 3 or not same_extents(extents(after)[:2], leading):
                return found, back
            constants = layer_of(call)
            found.append(Further(call.args[1], call.args[2], constants.units, constants.activation))
            back = after

    def _call(self, unit: _Unit, call: relax.Call, further: list[Further]) -> relax.Call:
        layer = layer_of(call)

        def packed(weight: np.ndarray) -> relax.Expr:
            return relax.const(pack(np.ascontiguousarray(weight, np.float32), layer.tiles))

        values = list(unit.items)
        x = values[0] if len(values) == 1 else self._bind("unit_items", relax.op.concat(values, axis=1))
        weight = packed(np.concatenate(list(unit.items.values())))
        bias = self._bind("unit_bias", dense(x, weight, call.args[2], units=layer.units, activation="none", tiles=layer.tiles))
        return pair_layers(
            unit.query,
            unit.keys,
            bias,
            product=packed(unit.product),
            direct=packed(unit.direct),
            index=unit.index,
            units=layer.units,
            activation=layer.activation,
            further=further,
            tiles=layer.tiles,
        )

    # ---- weighted sums

    def _pooled(self, value: relax.Call) -> relax.Call | None:
        """A product of (N, 1, L) weights with (N, L, D) keys of the request, as (N, 1, D)."""
        left, right = value.args
        source = taken(self.values.get(right), self.index)
        shape = extents(left)
        if source is None or len(shape) != 3 or len(extents(source)) != 3 or not _is(shape[1], 1) or value.ty.dtype != "float32":
            return None
        if not all(map(_is_constant, extents(source)[1:])):
            return None
        weights = self._bind("pool_weights", relax.op.squeeze(left, axis=[1]))
        pooled = self._bind("pooled", pair_pool(weights, source, self.index, self.tiles))
        return relax.op.expand_dims(pooled, axis=[1])


def _is_constant(extent: tvm.ir.PrimExpr) -> bool:
    return isinstance(extent, tvm.tirx.IntImm)


def _is(extent: tvm.ir.PrimExpr, number: int) -> bool:
    return isinstance(extent, tvm.tirx.IntImm) and int(extent) == number
