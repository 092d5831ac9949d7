"""The Relax operator rank.dense: types, refusals, legalization."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
import tvm
from dense_oracle import assert_is_reference, host, random_layer, run_module
from tvm import relax, tirx

from te_schedules.dense import AVX2, pack, tiles_for
from te_schedules.dense import op as dense_op
from te_schedules.dense.op import NAME
from tvm_rank.ops.dense import dense

TILES = tiles_for(tvm.target.Target(host()))
N, R = tirx.Var("n", "int64"), tirx.Var("r", "int64")


def tensor(name: str, shape: list, dtype: str = "float32") -> relax.Var:
    return relax.Var(name, relax.TensorType(shape, dtype))


def module(params: list[relax.Var], call: relax.Call) -> tvm.IRModule:
    """A module that computes one call."""
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        with builder.dataflow():
            result = builder.emit_output(builder.normalize(call))
        builder.emit_func_output(result)
    return builder.get()


def infer(call: relax.Call) -> relax.Type:
    return relax.BlockBuilder().normalize(call).ty


def call_of(x=(N, 40), packed=(3, 40, 16), bias=(40,), x_dtype="float32", **options) -> relax.Call:
    """A call over variables, with AVX2's tiles: 40 outputs are 3 panels of 16."""
    arguments = [tensor("x", [*x], x_dtype), tensor("packed", [*packed]), tensor("bias", [*bias])]
    return dense(*arguments, **{"units": 40, "activation": "relu", "tiles": AVX2, **options})


def test_the_type_keeps_the_symbolic_rows():
    found = infer(call_of())
    assert found.dtype == "float32"
    assert found.shape.values[0].same_as(N)
    assert int(found.shape.values[1]) == 40


def test_the_type_with_a_bias_by_row():
    extra = {"row_bias": tensor("row_bias", [R, 40]), "row_index": tensor("row_index", [N], "int32")}
    assert len(infer(call_of(**extra)).shape) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"x": (N, 41)}, "x has extent 41 in axis 1, expected 40", id="depth"),
        pytest.param({"x": (N, 2, 40)}, r"x is .*expected \(N, K\) float32", id="rank"),
        pytest.param({"x_dtype": "float64"}, r"x is .*expected \(N, K\) float32", id="dtype"),
        pytest.param({"packed": (2, 40, 16)}, "packed has extent 2 in axis 0, expected 3", id="panels"),
        pytest.param({"packed": (3, 40, 32)}, "packed has extent 32 in axis 2, expected 16", id="packed-for-other-tiles"),
        pytest.param({"packed": (R, 40, 16)}, "expected constant extents", id="symbolic-weight"),
        pytest.param({"bias": (41,)}, "bias has extent 41 in axis 0, expected 40", id="bias"),
        pytest.param({"activation": "gelu"}, "activation 'gelu' is unknown", id="activation"),
        pytest.param(
            {"row_bias": tensor("b", [R, 39]), "row_index": tensor("i", [N], "int32")},
            "row_bias has extent 39 in axis 1, expected 40",
            id="row-bias",
        ),
        pytest.param(
            {"row_bias": tensor("b", [R, 40]), "row_index": tensor("i", [R], "int32")},
            "row_index has extent r in axis 0, expected n",
            id="row-index-length",
        ),
        pytest.param(
            {"row_bias": tensor("b", [R, 40]), "row_index": tensor("i", [N], "int64")},
            r"row_index is .*expected \(N,\) int32",
            id="row-index-dtype",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        infer(call_of(**options))


def test_the_type_with_two_biases_by_row():
    pairs = {"row_bias": tensor("a", [R, 40]), "row_index": tensor("i", [N], "int32")}
    more = {"item_bias": tensor("b", [R, 40]), "item_index": tensor("j", [N], "int32")}
    assert len(infer(call_of(**pairs, **more)).shape) == 2
    with pytest.raises(TypeError, match="item_bias has extent 39 in axis 1, expected 40"):
        infer(call_of(**pairs, **more | {"item_bias": tensor("b", [R, 39])}))
    with pytest.raises(ValueError, match="behind row_bias and row_index"):
        call_of(**more)


def test_half_of_a_bias_by_row_is_refused():
    with pytest.raises(ValueError, match="row_bias and row_index go together"):
        call_of(row_bias=tensor("row_bias", [R, 40]))


def test_a_second_registration_is_harmless_and_the_operator_is_pure():
    importlib.reload(dense_op)
    assert tvm.ir.Op.get(NAME).get_attr("FPurity")


@pytest.mark.parametrize("rows", [1, 7, 256])
def test_it_computes_the_reference_through_the_virtual_machine(rows):
    x, weight, bias = random_layer(rows, 30, 20)
    call = dense(
        tensor("x", [N, 30]), relax.const(pack(weight, TILES)), relax.const(bias), units=20, activation="relu", tiles=TILES
    )
    (got,) = run_module(module([call.args[0]], call), x)
    assert_is_reference(got, x, weight, bias, "relu")


def test_each_row_takes_the_bias_that_it_names():
    x, weight, bias = random_layer(33, 30, 20)
    row_bias = np.random.default_rng(3).normal(size=(4, 20)).astype(np.float32)
    row_index = (np.arange(33) % 4).astype(np.int32)
    params = [tensor("x", [N, 30]), tensor("row_bias", [R, 20]), tensor("row_index", [N], "int32")]
    options = {"row_bias": params[1], "row_index": params[2]}
    constants = relax.const(pack(weight, TILES)), relax.const(bias)
    call = dense(params[0], *constants, units=20, activation="sigmoid", tiles=TILES, **options)
    (got,) = run_module(module(params, call), x, row_bias, row_index)
    assert_is_reference(got, x, weight, bias, "sigmoid", row_bias, row_index)


def test_layers_of_one_shape_share_a_kernel():
    tiles = dataclasses.replace(TILES)
    x = tensor("x", [N, 16])
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            for seed in range(3):
                _, weight, bias = random_layer(1, 16, 16, seed)
                call = dense(y, relax.const(pack(weight, tiles)), relax.const(bias), units=16, activation="relu", tiles=tiles)
                y = builder.emit(call)
            result = builder.emit_output(y)
        builder.emit_func_output(result)
    legalized = relax.transform.LegalizeOps()(builder.get())
    assert sum(isinstance(function, tirx.PrimFunc) for function in legalized.functions.values()) == 1
