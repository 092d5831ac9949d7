"""Give dense layers and attention units the tiles that a schedule has for their kernels, and trees their knobs.

    y = rank.dense(x, packed W, b) {tiles}        ->      y = rank.dense(x, W packed otherwise, b) {other tiles}

Which kernels there are is known only when the passes before this one have split and fused the layers; until then all have the tiles
of the target. A kernel's name says what it computes (`Layer.name`, `PairLayers.name`), so layers of one shape get the same tiles. What
the schedule does not name is left alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax

from relay_passes.graph import op_name
from te_schedules.dense import DenseTiles, pack
from te_schedules.dense.op import NAME as DENSE
from te_schedules.dense.op import layer_of
from te_schedules.dense.pack import unpack
from te_schedules.pair.op import NAME as PAIR_LAYERS
from te_schedules.pair.op import layers_of
from te_schedules.trees import TreeKnobs
from te_schedules.trees.kernel import NAME as TREES
from te_schedules.trees.op import forest_of, with_knobs


@tvm.transform.module_pass(opt_level=0, name="rank.TileLayers")
class TileLayers:
    """See the module's text. `knobs`: kernel name -> tiles, or knobs of trees; what else it holds is not looked at · `trees`: the knobs of
    the other ensembles of trees."""

    def __init__(self, knobs: Mapping[str, Any], trees: TreeKnobs | None = None):
        self.knobs, self.trees = knobs, trees or TreeKnobs()

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with its layers tiled; unchanged when the schedule names none of them."""
        changed = {}
        for name, function in mod.functions_items():
            if isinstance(function, relax.Function):
                tiler = _Tiler(self.knobs, self.trees)
                tiled = tiler.visit_expr(function)
                if tiler.found:
                    changed[name] = tiled
        if not changed:
            return mod
        mod = mod.clone()
        for name, function in changed.items():
            mod[name] = function
        return relax.transform.Normalize()(mod)


@relax.expr_functor.mutator
class _Tiler(relax.PyExprMutator):
    def __init__(self, knobs: Mapping[str, Any], trees: TreeKnobs):
        super().__init__()
        self.knobs, self.trees, self.found = knobs, trees, False

    def visit_call_(self, call: relax.Call) -> relax.Call:  # named by TVM
        """The call with other tiles, its weights in the order that they want."""
        call = super().visit_call_(call)
        if op_name(call) == TREES:
            return self._walked(call)
        if op_name(call) == DENSE:
            layer = layer_of(call)
            widths, name = {1: layer.units}, layer.name
        elif op_name(call) == PAIR_LAYERS:
            pair = layers_of(call)
            first, *further = pair.layers
            widths, name = {3: first.units, 4: first.units} | {5 + 2 * k: one.units for k, one in enumerate(further)}, pair.name
        else:
            return call
        tiles = self.knobs.get(name)
        if not isinstance(tiles, DenseTiles) or not all(isinstance(call.args[k], tvm.ir.GenericConst) for k in widths):
            return call
        self.found = True
        return _tiled(call, widths, tiles)

    def _walked(self, call: relax.Call) -> relax.Call:
        """The call with other knobs of trees."""
        forest = forest_of(call)
        given = self.knobs.get(forest.name)
        wanted = given if isinstance(given, TreeKnobs) else self.trees
        if forest.knobs == wanted:
            return call
        self.found = True
        return with_knobs(call, wanted)


def _tiled(call: relax.Call, widths: Mapping[int, int], tiles: DenseTiles) -> relax.Call:
    """The call with the tiles; `widths`: argument -> outputs of the layer whose packed weight it is."""
    arguments = list(call.args)
    for argument, units in widths.items():
        arguments[argument] = relax.const(pack(unpack(arguments[argument].value.numpy(), units), tiles))
    attrs = {str(name): value for name, value in call.attrs.items()} | {"tiles": dataclasses.asdict(tiles)}
    return relax.Call(call.op, arguments, attrs=tvm.ir.make_node("ir.DictAttrs", **attrs))
