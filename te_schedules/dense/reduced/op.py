"""The Relax operators of dense layers below fp32: type inference, legalization and builders.

    rank.round_rows(x, factors)    int8: x (N, K) f32, factors (K,) f32 -> words (N, ceil(K / 4) or more) i32, levels (N, 2) f32
                                   bf16: the same                            -> words (N, ceil(K / 2) or more) i32
    rank.reduced_dense(words, levels, packed, factors, totals, bias[, row_bias, row_index[, item_bias, item_index]])     int8
    rank.reduced_dense(words, packed, bias[, row_bias, row_index[, item_bias, item_index]])                             bf16
        -> activation(x W + bias + row_bias[row_index] + item_bias[item_index]), (N, J) f32

`rows.py` says what a word and the levels are, `pack.py` the weights. The NumPy definitions are in `tvm_rank.ops.reduced_dense`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tvm
from tvm import relax
from tvm.ir import Op

from te_schedules.dense.kernel import dense_func
from te_schedules.dense.layer import PRECISIONS, Layer
from te_schedules.dense.reduced.rows import rows_func
from te_schedules.dense.tiles import DenseTiles
from te_schedules.operator import define

ROUND_ROWS, REDUCED_DENSE = "rank.round_rows", "rank.reduced_dense"
_OWN = {"int8": ("words", "levels", "packed", "factors", "totals", "bias"), "bf16": ("words", "packed", "bias")}
_BIASES = ("row_bias", "row_index", "item_bias", "item_index")


def round_rows(x: relax.Expr, factors: relax.Expr, layer: Layer) -> relax.Call:
    """A call of `rank.round_rows`: x (N, K) times factors (K,), in the words of the layer that reads them; in int8 a tuple of words and
    levels, in bf16 words alone."""
    attrs = tvm.ir.make_node("ir.DictAttrs", precision=layer.precision, words=layer.words, products=layer.products)
    return relax.Call(Op.get(ROUND_ROWS), [x, factors], attrs=attrs)


def reduced_dense(own: Sequence[relax.Expr], biases: Sequence[relax.Expr], layer: Layer) -> relax.Call:
    """A call of `rank.reduced_dense`. own: the arguments of the layer's precision up to `bias` · biases: those that rows choose."""
    attrs = tvm.ir.make_node(
        "ir.DictAttrs",
        depth=layer.depth,
        units=layer.units,
        activation=layer.activation,
        tiles=dataclasses.asdict(layer.tiles),
        precision=layer.precision,
        products=layer.products,
        matrix=int(layer.matrix),
    )
    return relax.Call(Op.get(REDUCED_DENSE), [*own, *biases], attrs=attrs)


def reduced_layer_of(call: relax.Call) -> Layer:
    """The constants of the layer of a `rank.reduced_dense` call."""
    attrs, biases = call.attrs, len(call.args) - len(_OWN[str(call.attrs["precision"])])
    return Layer(
        depth=int(attrs["depth"]),
        units=int(attrs["units"]),
        activation=str(attrs["activation"]),
        has_row_bias=biases >= 2,
        has_item_bias=biases == 4,
        tiles=DenseTiles(**{str(name): int(value) for name, value in attrs["tiles"].items()}),
        precision=str(attrs["precision"]),
        products=str(attrs["products"]),
        matrix=bool(int(attrs["matrix"])),
    )


def _infer_rows(call: relax.Call, _builder) -> relax.Type:
    x, factors = (_shape(ROUND_ROWS, call, k, name) for k, name in enumerate(("x", "factors")))
    if len(x) != 2 or factors != x[1:] or any(argument.ty.dtype != "float32" for argument in call.args):
        raise TypeError(f"{ROUND_ROWS}: arguments {[str(a.ty) for a in call.args]}; expected x (N, K) and factors (K,), float32")
    precision, count = str(call.attrs["precision"]), int(call.attrs["words"])
    if count * PRECISIONS[precision] < int(x[1]):
        raise TypeError(
            f"{ROUND_ROWS}: rows of {count} words for {x[1]} inputs in {precision}; expected as many as they take, or more"
        )
    words = relax.TensorType([x[0], count], "int32")
    return relax.TupleType([words, relax.TensorType([x[0], 2], "float32")]) if precision == "int8" else words


def _infer_dense(call: relax.Call, _builder) -> relax.Type:
    layer = reduced_layer_of(call)
    rows = _shape(REDUCED_DENSE, call, 0, "words")[0]
    per_word = 4 if layer.precision == "int8" else 1
    wanted = {
        "words": ([rows, layer.words], "int32"),
        "levels": ([rows, 2], "float32"),
        "packed": ([layer.panels, layer.words, layer.width * per_word], "int8" if layer.precision == "int8" else "int32"),
        "factors": ([layer.units], "float32"),
        "totals": ([layer.units], "int32"),
        "bias": ([layer.units], "float32"),
        "row_index": ([rows], "int32"),
        "item_index": ([rows], "int32"),
    }
    analyzer = tvm.sym.Analyzer()
    for k, name in enumerate((*_OWN[layer.precision], *_BIASES)[: len(call.args)]):
        got, (extents, dtype) = _shape(REDUCED_DENSE, call, k, name), wanted.get(name, ([None, layer.units], "float32"))
        same = len(got) == len(extents) and all(
            b is None or analyzer.can_prove_equal(a, b) for a, b in zip(got, extents, strict=True)
        )
        if not same or str(call.args[k].ty.dtype) != dtype:
            raise TypeError(f"{REDUCED_DENSE}: {name} is {call.args[k].ty}; expected {dtype} of shape {extents}")
    return relax.TensorType([rows, layer.units], "float32")


def _shape(operator: str, call: relax.Call, k: int, name: str) -> list:
    found = call.args[k].ty
    if not isinstance(found, relax.TensorType) or not isinstance(found.shape, relax.ShapeExpr):
        raise TypeError(f"{operator}: {name} is {found}; expected a tensor of known shape")
    return list(found.shape.values)


def _legalize_rows(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    depth, precision = int(call.args[0].ty.shape.values[1]), str(call.attrs["precision"])
    words, products = int(call.attrs["words"]), str(call.attrs["products"])
    name = f"round_{depth}_{precision}_{words}"
    types = list(call.ty.fields) if isinstance(call.ty, relax.TupleType) else call.ty
    func = builder.add_func(rows_func(depth, precision, name, words, products), name)
    return relax.call_tir(func, relax.Tuple(list(call.args)), types)


def _legalize_dense(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    layer = reduced_layer_of(call)
    return relax.call_tir(builder.add_func(dense_func(layer, layer.name), layer.name), relax.Tuple(list(call.args)), call.ty)


define(ROUND_ROWS, "Rows in bf16 or int8.", [("x", "Tensor"), ("factors", "Tensor")], _infer_rows, _legalize_rows)
define(
    REDUCED_DENSE,
    "A dense layer in bf16 or int8.",
    [(name, "Tensor") for name in (*_OWN["int8"], *_BIASES)],
    _infer_dense,
    _legalize_dense,
)
