"""What an imported model says of itself, and what becomes of functions, branches and names."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import tvm
from frontend_models import RELU, compare, operators, parsed, weight
from onnx import TensorProto, helper

from tvm_rank.frontend.onnx_model import ModelInput, import_model


def test_the_model_tells_its_inputs_and_outputs_by_their_names_in_the_file():
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["user.emb:0"], ["out/y"]), helper.make_node("Neg", ["item"], ["z"])],
            "names",
            [
                helper.make_tensor_value_info("user.emb:0", TensorProto.FLOAT, ["a", 569]),
                helper.make_tensor_value_info("item", TensorProto.INT64, ["b"]),
                helper.make_tensor_value_info("7x", TensorProto.FLOAT, [None, 50, 32]),
            ],
            [
                helper.make_tensor_value_info("out/y", TensorProto.FLOAT, ["a", 569]),
                helper.make_tensor_value_info("z", TensorProto.INT64, ["b"]),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    dense = compare(model)
    assert dense.source == "names"
    assert dense.outputs == ("out/y", "z")
    assert dense.inputs == (
        ModelInput(name="user.emb:0", dtype="float32", shape=(569,)),
        ModelInput(name="item", dtype="int64", shape=()),
        ModelInput(name="7x", dtype="float32", shape=(50, 32)),
    )
    params = dense.mod["main"].params
    assert [p.name for p in params] == ["user_emb_0", "item", "_7x"]
    assert len({p.ty.shape[0] for p in params}) == 1
    assert params[0].ty.shape[0].ty == tvm.ir.PrimType("int64")


def test_names_that_differ_by_the_characters_of_onnx_do_not_collide():
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["onnx::x"], ["onnx::h"], name="x"),
            helper.make_node("Neg", ["x"], ["h"], name="onnxx"),
            helper.make_node("Sub", ["onnx::h", "h"], ["nnx"], name="onnx::x"),
        ],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in ("onnx::x", "x", "onnx__x", "x:")],
        [helper.make_tensor_value_info("nnx", TensorProto.FLOAT, ["N", 2])],
    )
    dense = compare(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert [entry.name for entry in dense.inputs] == ["onnx::x", "x", "onnx__x", "x:"]


def test_a_single_output_is_returned_as_a_tuple():
    ty = import_model(parsed(RELU)).mod["main"].ret_ty
    assert isinstance(ty, tvm.relax.TupleType)
    assert len(ty.fields) == 1


def test_an_output_may_be_an_input_and_may_occur_twice():
    compare(parsed("(float[N, 3] x) => (float[N, 3] y, float[N, 3] z) { y = Identity(x) z = Identity(y) }"))


def test_the_model_that_is_passed_in_is_not_changed():
    model = parsed(
        "(float[a, 3] x, float[b, 3] z) => (float[c, 3] y) { k = Constant<value_float = 1.0>() h = Add(x, z) y = Add(h, k) }"
    )
    before = model.SerializeToString(deterministic=True)
    import_model(model)
    assert model.SerializeToString(deterministic=True) == before


def test_an_input_that_is_an_initializer_is_a_weight():
    model = parsed("(float[N, 3] x, float[3] w) => (float[N, 3] y) { y = Add(x, w) }", {"w": weight(3)})
    assert [entry.name for entry in compare(model).inputs] == ["x"]


def test_an_id_that_indexes_tables_in_the_model_tells_the_rows_of_the_smallest():
    graph = """(int64[N, 1] a, int64[N] b, int64[N] c) => (float[N, 2] y, float[N, 2] z, int64[N] w) {
        flat = Reshape(a, s) u = Gather(t7, flat) v = Gather(t9, flat) y = Add(u, v) z = Gather(t9, b) w = Neg(c) }"""
    dense = compare(parsed(graph, {"s": np.array([-1]), "t9": weight(9, 2), "t7": weight(7, 2)}))
    assert {entry.name: entry.rows for entry in dense.inputs} == {"a": 7, "b": 9, "c": None}


def test_local_functions_are_inlined():
    text = """<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
        case (float[N, 3] x) => (float[N, 3] y) { h = mine.twice(x) y = mine.twice(h) }
        <domain: "mine", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }"""
    assert operators(compare(onnx.parser.parse_model(text))) == ["add", "add"]


@pytest.mark.parametrize(("condition", "operator"), [(True, "nn.relu"), (False, "negative")])
def test_a_branch_with_a_constant_condition_is_taken_at_import(condition, operator):
    graph = """(float[N, 3] x) => (float[N, 3] y) {
        h = If(c) <then_branch = g1 () => (float[N, 3] o) { o = Relu(x) }, else_branch = g2 () => (float[N, 3] o) { o = Neg(x) }>
        o = Tanh(h) y = Add(o, x) }"""
    dense = compare(parsed(graph, {"c": np.array(condition)}))
    assert operators(dense) == [operator, "tanh", "add"]


def test_branches_inside_branches_are_taken_and_their_names_kept_apart():
    inner = "q = If(c) <then_branch = g () => (float[N, 3] r) { r = Neg(t) }, else_branch = e () => (float[N, 3] r) { r = Exp(t) }>"
    graph = f"""(float[N, 3] x) => (float[N, 3] y) {{
        h = If(c) <then_branch = g1 () => (float[N, 3] q) {{ t = Relu(x) {inner} }},
                   else_branch = g2 () => (float[N, 3] q) {{ q = Neg(x) }}>
        t = Tanh(h) q = Sigmoid(t) y = Add(q, x) }}"""
    assert operators(compare(parsed(graph, {"c": np.array(True)}))) == ["nn.relu", "negative", "tanh", "sigmoid", "add"]
