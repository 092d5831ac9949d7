"""FuseDense: which graphs it rewrites, into what, and that the results stay."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
import tvm
from dense_oracle import assert_is_reference, host, random_layer, run_module
from onnx import helper, numpy_helper
from tvm import relax, tirx
from tvm.relax.frontend.onnx import from_onnx

from relay_passes.fuse_dense import FuseDense
from te_schedules.dense import AVX2, pack, tiles_for
from te_schedules.dense.op import dense

pytestmark = pytest.mark.filterwarnings("ignore:Field 'shape'")  # the graphs leave the shape of their outputs open
TILES = tiles_for(tvm.target.Target(host()))
DEPTH, UNITS = 12, 20
node = helper.make_node


def imported(nodes: list, constants: dict, x=("N", DEPTH), outputs=("y",), **options) -> tvm.IRModule:
    """The Relax module of an ONNX graph with the input x."""
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(x))]
    results = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    arrays = [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, results, arrays)
    return from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), **options)


def calls(mod: tvm.IRModule) -> list[str]:
    """The names of the operators of `main`, in order."""
    return [b.value.op.name for block in mod["main"].body.blocks for b in block.bindings if isinstance(b.value, relax.Call)]


def activation_of(mod: tvm.IRModule) -> str:
    """The activation of the only rank.dense."""
    values = [b.value for block in mod["main"].body.blocks for b in block.bindings]
    (call,) = [value for value in values if isinstance(value, relax.Call) and value.op.name == "rank.dense"]
    return str(call.attrs["activation"])


def assert_same_results(before: tvm.IRModule, after: tvm.IRModule, *shapes: tuple[int, ...]) -> None:
    """Run both modules on the same inputs."""
    for shape in shapes:
        x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
        for want, got in zip(run_module(before, x), run_module(after, x), strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


_, W, B = random_layer(1, DEPTH, UNITS)
GEMM = {"none": [], "relu": [node("Relu", ["a"], ["y"])]}
MATCHING = {
    "matmul": ([node("MatMul", ["x", "w"], ["y"])], {"w": W}, "none"),
    "add": ([node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])], {"w": W, "b": B}, "none"),
    "add-bias-first-relu": (
        [node("MatMul", ["x", "w"], ["a"]), node("Add", ["b", "a"], ["c"]), node("Relu", ["c"], ["y"])],
        {"w": W, "b": B},
        "relu",
    ),
    "bias-of-one-row-sigmoid": (
        [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["c"]), node("Sigmoid", ["c"], ["y"])],
        {"w": W, "b": B[None]},
        "sigmoid",
    ),
    "no-bias-tanh": ([node("MatMul", ["x", "w"], ["a"]), node("Tanh", ["a"], ["y"])], {"w": W}, "tanh"),
    "gemm": ([node("Gemm", ["x", "w", "b"], ["y"])], {"w": W, "b": B}, "none"),
    "gemm-without-c": ([node("Gemm", ["x", "w"], ["y"])], {"w": W}, "none"),
    "gemm-transposed": ([node("Gemm", ["x", "w", "b"], ["a"], transB=1), *GEMM["relu"]], {"w": W.T, "b": B}, "relu"),
    "gemm-alpha-beta": (
        [node("Gemm", ["x", "w", "b"], ["a"], transB=1, alpha=0.5, beta=2.0), *GEMM["relu"]],
        {"w": W.T, "b": B[None]},
        "relu",
    ),
    "gemm-one-number": ([node("Gemm", ["x", "w", "b"], ["y"], beta=3.0)], {"w": W, "b": np.float32(0.25)}, "none"),
    "gemm-one-element": ([node("Gemm", ["x", "w", "b"], ["y"])], {"w": W, "b": B[:1]}, "none"),
}


@pytest.mark.parametrize("case", MATCHING)
def test_a_dense_layer_becomes_one_call_with_the_same_results(case):
    nodes, constants, activation = MATCHING[case]
    before = imported(nodes, constants)
    after = FuseDense(TILES)(before)
    assert calls(after) == ["rank.dense"]
    assert activation_of(after) == activation
    assert_same_results(before, after, (1, DEPTH), (7, DEPTH))


@pytest.mark.parametrize("rows", [1, 7, 64, 256, 1000])
def test_a_stack_of_layers_gives_the_same_results_for_any_batch(rows):
    widths = [DEPTH, 24, 16, 1]
    constants, nodes, last = {}, [], "x"
    for i, (depth, units) in enumerate(itertools.pairwise(widths)):
        _, constants[f"w{i}"], constants[f"b{i}"] = random_layer(1, depth, units, seed=i)
        nodes.append(node("Gemm", [last, f"w{i}", f"b{i}"], [f"a{i}"]))
        nodes.append(node("Relu" if units > 1 else "Sigmoid", [f"a{i}"], [last := f"h{i}" if units > 1 else "y"]))
    before = imported(nodes, constants)
    after = FuseDense(TILES)(before)
    assert calls(after) == ["rank.dense"] * 3
    assert_same_results(before, after, (rows, DEPTH))


def test_a_transposed_input_is_kept_in_front():
    before = imported([node("Gemm", ["x", "w", "b"], ["y"], transA=1)], {"w": W, "b": B}, x=(DEPTH, "N"))
    after = FuseDense(TILES)(before)
    assert calls(after) == ["relax.permute_dims", "rank.dense"]
    assert_same_results(before, after, (DEPTH, 5))


def test_more_axes_are_rows():
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["c"]), node("Relu", ["c"], ["y"])]
    before = imported(nodes, {"w": W, "b": B}, x=("N", "L", DEPTH))
    after = FuseDense(TILES)(before)
    assert calls(after) == ["relax.reshape", "rank.dense", "relax.reshape"]
    assert_same_results(before, after, (3, 5, DEPTH), (1, 1, DEPTH))


def test_values_with_another_user_stay_and_fusion_ends_there():
    layer = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["c"])]
    users = [node("Neg", ["c"], ["n"]), node("Relu", ["c"], ["r"]), node("Sub", ["n", "r"], ["y"])]
    before = imported([*layer, *users], {"w": W, "b": B})
    after = FuseDense(TILES)(before)
    assert calls(after) == ["rank.dense", "relax.negative", "relax.nn.relu", "relax.subtract"]
    assert activation_of(after) == "none"
    assert_same_results(before, after, (4, DEPTH))


def test_an_intermediate_that_is_a_result_stays():
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    before = imported(nodes, {"w": W, "b": B}, outputs=("y", "a"))
    after = FuseDense(TILES)(before)
    assert calls(after) == ["rank.dense", "relax.add"]
    assert_same_results(before, after, (4, DEPTH))


def test_a_product_added_to_itself_is_not_taken_for_a_bias():
    before = imported([node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "a"], ["y"])], {"w": W})
    after = FuseDense(TILES)(before)
    assert calls(after) == ["rank.dense", "relax.add"]
    assert_same_results(before, after, (4, DEPTH))


def test_a_scaled_input_with_another_user_is_read_as_it_is():
    nodes = [
        node("Mul", ["x", "s"], ["m"]),
        node("MatMul", ["m", "w"], ["a"]),
        node("ReduceSum", ["m"], ["t"]),
        node("Add", ["a", "t"], ["y"]),
    ]
    before = imported(nodes, {"w": W, "s": np.float32(3)})
    after = FuseDense(TILES)(before)
    assert calls(after)[:2] == ["relax.multiply", "rank.dense"]
    scaled, layer = (binding for binding in after["main"].body.blocks[0].bindings[:2])
    assert layer.value.args[0].same_as(scaled.var)
    assert_same_results(before, after, (4, DEPTH))


@pytest.mark.parametrize("bias", [np.ones((5, 1), np.float32), np.arange(5 * UNITS, dtype=np.float32).reshape(5, UNITS)])
def test_a_sum_that_differs_by_row_is_no_bias(bias):
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    before = imported(nodes, {"w": W, "b": bias}, x=(5, DEPTH))
    after = FuseDense(TILES)(before)
    assert calls(after) == ["rank.dense", "relax.add"]
    assert_same_results(before, after, (5, DEPTH))


def test_a_bias_with_more_axes_than_the_product_is_no_bias():
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    before = imported(nodes, {"w": W, "b": B[None, None]})
    assert calls(FuseDense(TILES)(before)) == ["rank.dense", "relax.add"]


@pytest.mark.parametrize("keep", [True, False])
def test_a_weight_that_is_an_input_is_left_alone(keep):
    constants = {"w": W} if keep else {"w": np.ones((2, DEPTH, UNITS), np.float32)}
    mod = imported([node("MatMul", ["x", "w"], ["y"])], constants, keep_params_in_input=keep)
    assert FuseDense(TILES)(mod).same_as(mod)
    assert calls(mod) == ["relax.matmul"]


def test_other_dtypes_are_left_alone():
    x = relax.Var("x", relax.TensorType([tirx.Var("n", "int64"), DEPTH], "float64"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.op.matmul(x, relax.const(W, "float64")))
        builder.emit_func_output(result)
    mod = builder.get()
    assert FuseDense(TILES)(mod).same_as(mod)


def test_the_rewritten_graph_is_exactly_this():
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["b", "a"], ["c"]), node("Relu", ["c"], ["y"])]
    after = FuseDense(AVX2)(imported(nodes, {"w": W, "b": B}))
    x = relax.Var("x", relax.TensorType([tirx.Var("N", "int64"), DEPTH], "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x], attrs={"num_input": 1}):
        with builder.dataflow():
            call = dense(x, relax.const(pack(W, AVX2)), relax.const(B), units=UNITS, activation="relu", tiles=AVX2)
            result = builder.emit_output(call)
        builder.emit_func_output(result)
    tvm.ir.assert_structural_equal(after, builder.get(), map_free_vars=True)


def test_the_reference_agrees_with_what_the_fused_graph_computes():
    after = FuseDense(TILES)(imported([node("Gemm", ["x", "w", "b"], ["a"]), *GEMM["relu"]], {"w": W, "b": B}))
    x = random_layer(9, DEPTH, UNITS, seed=8)[0]
    assert_is_reference(run_module(after, x)[0], x, W, B, "relu")
