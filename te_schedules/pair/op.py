"""The Relax operator `rank.pair_layers`: dense layers over every pair of an item and a position of its sequence.

    y[n, l] = activation(keys[i(n), l] @ (diag(query[n]) @ product + direct) + row_bias[n])     i(n) = index[n], or n without an index
    and so on through the further layers, each activation(y @ weight + bias)

What attention units (DIN) compute from `concat(q, k, q - k, q * k)`, with everything but the product taken out of the pairs: the part
of q is `row_bias`, and the part of k lies in the item's own matrix, which is made once for all of its positions. The values between
the layers of one item stay in the first caches.

`relay_passes/split_pairs.py` makes it; its NumPy definition is `tvm_rank.ops.pair_layers.reference`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import tvm
from tvm import relax, tirx
from tvm.ir import Op

from te_schedules.dense.layer import Layer
from te_schedules.dense.tiles import DenseTiles
from te_schedules.operator import define
from te_schedules.pair.kernel import PairLayers, pair_func

NAME = "rank.pair_layers"
_TENSORS = ("query", "keys", "row_bias", "product", "direct")


@dataclass(frozen=True, eq=False)
class Further:
    """A layer behind the first one: weight as te_schedules.dense.pack lays it out, bias (J,)."""

    packed: relax.Expr
    bias: relax.Expr
    units: int
    activation: str


def pair_layers(
    query: relax.Expr,
    keys: relax.Expr,
    row_bias: relax.Expr,
    *,
    product: relax.Expr,
    direct: relax.Expr,
    index: relax.Expr | None,
    units: int,
    activation: str,
    further: Sequence[Further],
    tiles: DenseTiles,
) -> relax.Call:
    """A call of `rank.pair_layers` -> (N, L, units of the last layer) float32.

    query (N, K) · keys (R, L, K), L constant · row_bias (N, units) · product, direct: weights (K, units), packed · index (N,) int32,
    a row of keys for each n; None when keys has N rows. All others float32. N and R are symbolic; an index out of range takes the
    nearest row.
    """
    layers = [(units, activation), *((layer.units, layer.activation) for layer in further)]
    attrs = tvm.ir.make_node(
        "ir.DictAttrs",
        units=[width for width, _ in layers],
        activations=[name for _, name in layers],
        tiles=dataclasses.asdict(tiles),
        taken=int(index is not None),
    )
    arguments = [query, keys, row_bias, product, direct]
    for layer in further:
        arguments += [layer.packed, layer.bias]
    return relax.Call(Op.get(NAME), [*arguments, *([] if index is None else [index])], attrs=attrs)


def layers_of(call: relax.Call) -> PairLayers:
    """The constants of a call."""
    tiles = DenseTiles(**{str(name): int(value) for name, value in call.attrs["tiles"].items()})
    units = [int(width) for width in call.attrs["units"]]
    _requests, length, depth = call.args[1].ty.shape.values
    depths = [int(depth), *units[:-1]]
    layers = [
        Layer(depth=k, units=j, activation=str(name), has_row_bias=False, tiles=tiles)
        for k, j, name in zip(depths, units, call.attrs["activations"], strict=True)
    ]
    return PairLayers(length=int(length), layers=tuple(layers), taken=bool(int(call.attrs["taken"])))


def _infer_type(call: relax.Call, _builder) -> relax.Type:
    shapes = [list(argument.ty.shape.values) for argument in call.args]
    if len(shapes[0]) != 2 or len(shapes[1]) != 3 or not all(isinstance(e, tirx.IntImm) for e in shapes[1][1:]):
        raise TypeError(
            f"{NAME}: query is {call.args[0].ty}, keys is {call.args[1].ty}; expected (N, K) and (R, L, K), L and K constant"
        )
    found = layers_of(call)
    first = found.layers[0]
    wanted: list[tuple[str, list, list]] = [
        ("query", shapes[0][1:], [first.depth]),
        ("row_bias", shapes[2], [shapes[0][0], first.units]),
        *((name, shapes[3 + k], [first.panels, first.depth, first.width]) for k, name in enumerate(("product", "direct"))),
    ]
    for k, layer in enumerate(found.layers[1:]):
        wanted.append((f"weight {k + 1}", shapes[5 + 2 * k], [layer.panels, layer.depth, layer.width]))
        wanted.append((f"bias {k + 1}", shapes[6 + 2 * k], [layer.units]))
    wanted.append(("index", shapes[-1], shapes[0][:1]) if found.taken else ("keys", shapes[1][:1], shapes[0][:1]))
    analyzer = tvm.sym.Analyzer()
    for name, got, expected in wanted:
        if len(got) != len(expected) or not all(analyzer.can_prove_equal(a, b) for a, b in zip(got, expected, strict=True)):
            raise TypeError(f"{NAME}: {name} has the extents {got}, expected {expected}")
    return relax.TensorType([shapes[0][0], found.length, found.layers[-1].units], "float32")


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    found = layers_of(call)
    func = builder.add_func(pair_func(found, found.name), found.name)
    return relax.call_tir(func, relax.Tuple(list(call.args)), call.ty)


define(NAME, "Dense layers over pairs of items and positions.", [(name, "Tensor") for name in _TENSORS], _infer_type, _legalize)
