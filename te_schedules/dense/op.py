"""The Relax operator `rank.dense`: type inference, legalization and builder.

    rank.dense(x, packed, bias)                          -> activation(x W + bias)
    rank.dense(x, packed, bias, row_bias, row_index)     -> activation(x W + bias + row_bias[row_index])
    ... item_bias, item_index)                           ->                                            + item_bias[item_index]

Attributes: `units` (J), `activation` (a name of `ACTIVATIONS`) and `tiles` (the fields of `DenseTiles`). The knobs ride on the call
because legalization does not know the target and the order of `packed` depends on them: who packs, decides.

The operator is registered here, below the passes that make it; its NumPy definition is `tvm_rank.ops.dense.reference`.
"""

from __future__ import annotations

import dataclasses

import tvm
from tvm import relax, tirx
from tvm.ir import Op

from te_schedules.dense.kernel import dense_func
from te_schedules.dense.layer import Layer
from te_schedules.dense.tiles import DenseTiles
from te_schedules.operator import define

NAME = "rank.dense"
_ARGUMENTS = (
    ("x", "(N, K) float32, N symbolic"),
    ("packed", "(panels, K, width) float32, the weight as te_schedules.dense.pack lays it out"),
    ("bias", "(J,) float32"),
    ("row_bias", "(R, J) float32, R symbolic; optional"),
    ("row_index", "(N,) int32, a row of row_bias for each row of x; optional"),
    ("item_bias", "(S, J) float32, S symbolic; optional"),
    ("item_index", "(N,) int32, a row of item_bias for each row of x; optional"),
)


def dense(
    x: relax.Expr,
    packed: relax.Expr,
    bias: relax.Expr,
    *,
    units: int,
    activation: str,
    tiles: DenseTiles,
    row_bias: relax.Expr | None = None,
    row_index: relax.Expr | None = None,
    item_bias: relax.Expr | None = None,
    item_index: relax.Expr | None = None,
) -> relax.Call:
    """A call of `rank.dense`; shapes and dtypes as in the table of this module, -> (N, units) float32."""
    if (row_bias is None) != (row_index is None):
        raise ValueError("rank.dense: row_bias and row_index go together; give both or neither")
    if (item_bias is None) != (item_index is None) or (item_bias is not None and row_bias is None):
        raise ValueError("rank.dense: item_bias and item_index go together, behind row_bias and row_index")
    extra = [e for e in (row_bias, row_index, item_bias, item_index) if e is not None]
    attrs = tvm.ir.make_node("ir.DictAttrs", units=units, activation=activation, tiles=dataclasses.asdict(tiles))
    return relax.Call(Op.get(NAME), [x, packed, bias, *extra], attrs=attrs)


def layer_of(call: relax.Call) -> Layer:
    """The constants of the layer of a `rank.dense` call."""
    tiles = DenseTiles(**{str(name): int(value) for name, value in call.attrs["tiles"].items()})
    depth = int(call.args[1].ty.shape.values[1])
    units, activation = int(call.attrs["units"]), str(call.attrs["activation"])
    return Layer(depth=depth, units=units, activation=activation, has_row_bias=len(call.args) >= 5, tiles=tiles,
                 has_item_bias=len(call.args) == 7)  # fmt: skip


def _shape(call: relax.Call, argument: int, ndim: int, dtype: str) -> list:
    """The shape of an argument, after its rank and dtype were checked."""
    name, wanted = _ARGUMENTS[argument]
    found = call.args[argument].ty
    shape = found.shape if isinstance(found, relax.TensorType) else None
    if not isinstance(shape, relax.ShapeExpr) or len(shape.values) != ndim or found.dtype != dtype:
        raise TypeError(f"rank.dense: {name} is {found}; expected {wanted}")
    return list(shape.values)


def _expect(argument: int, shape: list, axes: dict) -> None:
    """Check extents against integers, or symbolic extents against expressions."""
    analyzer = tvm.sym.Analyzer()
    for axis, wanted in axes.items():
        if not analyzer.can_prove_equal(shape[axis], wanted):
            name, text = _ARGUMENTS[argument]
            got = int(shape[axis]) if isinstance(shape[axis], tirx.IntImm) else shape[axis]
            raise TypeError(f"rank.dense: {name} has extent {got} in axis {axis}, expected {wanted}; {name} is {text}")


def _infer_type(call: relax.Call, _builder) -> relax.Type:
    if len(call.args) not in (3, 5, 7):
        raise TypeError(f"rank.dense: {len(call.args)} arguments; expected x, packed, bias and perhaps one or two biases by row")
    x = _shape(call, 0, 2, "float32")
    packed = _shape(call, 1, 3, "float32")
    bias = _shape(call, 2, 1, "float32")
    if not all(isinstance(extent, tirx.IntImm) for extent in packed):
        raise TypeError(
            f"rank.dense: packed has the shape {packed}; expected constant extents, the weight is packed when compiling"
        )
    layer = layer_of(call)
    _expect(0, x, {1: layer.depth})
    _expect(1, packed, {0: layer.panels, 2: layer.width})
    _expect(2, bias, {0: layer.units})
    if layer.has_row_bias:
        _expect(3, _shape(call, 3, 2, "float32"), {1: layer.units})
        _expect(4, _shape(call, 4, 1, "int32"), {0: x[0]})
    if layer.has_item_bias:
        _expect(5, _shape(call, 5, 2, "float32"), {1: layer.units})
        _expect(6, _shape(call, 6, 1, "int32"), {0: x[0]})
    return relax.TensorType([x[0], layer.units], "float32")


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    layer = layer_of(call)
    func = builder.add_func(dense_func(layer, layer.name), layer.name)
    return relax.call_tir(func, relax.Tuple(list(call.args)), call.ty)


define(
    NAME,
    "A dense layer with packed weights, bias and activation.",
    [(name, "Tensor") for name, _ in _ARGUMENTS],
    _infer_type,
    _legalize,
)
