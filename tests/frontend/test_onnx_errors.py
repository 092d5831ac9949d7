"""What is refused, and in which words: inputs, operators, nodes that fail, outputs."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from frontend_models import RELU, compare, one_problem, parsed, problems_of, weight
from onnx import TensorProto, helper

from tvm_rank.errors import ModelError
from tvm_rank.frontend.onnx_model import import_model


def with_input(elem_type: int, shape: list | None) -> onnx.ModelProto:
    """A model whose input `x` has that type and shape, cast to the float output."""
    model = parsed(RELU)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", elem_type, shape))
    return model


def test_a_fixed_batch_is_refused_with_the_way_to_export_it():
    problem = one_problem(with_input(TensorProto.FLOAT, [1, 3]))
    assert problem.startswith("input 'x' has the fixed batch 1; export with a dynamic batch: ")
    assert "dynamic_axes={'x': {0: 'N'}}" in problem
    assert "dynamic_shapes={'x': {0: torch.export.Dim('N')}}" in problem


@pytest.mark.parametrize(("dim", "name"), [("seq", "'seq'"), (None, "of unknown size")])
def test_another_symbolic_axis_is_refused_by_name(dim, name):
    wanted = f"input 'x' has a symbolic axis 1, {name}; only the batch may be symbolic: export with a fixed size"
    assert one_problem(with_input(TensorProto.FLOAT, ["N", dim])) == wanted


@pytest.mark.parametrize(
    ("elem_type", "got", "advice"),
    [
        (TensorProto.DOUBLE, "double", "float inputs are float32: export with float32 inputs"),
        (TensorProto.FLOAT16, "float16", "float inputs are float32: export with float32 inputs"),
        (TensorProto.INT32, "int32", "ids are int64 and values float32: export with one of them"),
        (TensorProto.BOOL, "bool", "ids are int64 and values float32: export with one of them"),
        (TensorProto.STRING, "string", "text is handled by the features: give the model the id (int64) or its embedding"),
    ],
)
def test_an_input_of_another_dtype_is_refused_with_a_suggestion(elem_type, got, advice):
    model = parsed("(float[N, 3] x) => (float[N, 3] y) { h = Cast<to = 1>(x) y = Relu(h) }")
    model.graph.input[0].type.tensor_type.elem_type = elem_type
    assert one_problem(model).startswith(f"input 'x' has dtype {got}; {advice}")


def test_inputs_without_a_batch_axis_are_refused():
    problem = one_problem(with_input(TensorProto.FLOAT, []))
    assert problem == "input 'x' is a scalar; every input needs the batch as its first axis: make it a constant of the model"


def test_an_input_that_is_no_tensor_is_refused():
    model = parsed(RELU)
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, ["N", 3])
    model.graph.input.append(sequence)
    assert one_problem(model) == "input 's' is a sequence; only tensors are accepted"


def test_all_problems_of_inputs_and_operators_are_told_at_once():
    graph = "(float[1, 3] x, double[N, 3] z) => (float[N, 3] y) { a = Cast<to = 1>(z) b = Add(x, a) y, i = Unique(b) }"
    assert len(problems_of(parsed(graph))) == 3


def test_all_operators_that_cannot_be_imported_are_named_with_their_nodes():
    nodes = [
        helper.make_node("Det", ["x3"], ["l"], name="head/det"),
        *(helper.make_node("FusedMatMul", ["x", "x"], [f"m{i}"], name=f"mm{i}", domain="com.microsoft") for i in range(5)),
        helper.make_node("SVMRegressor", ["x"], ["e"], domain="ai.onnx.ml"),
        helper.make_node("Frobnicate", ["x"], ["f"], domain="acme"),
        helper.make_node("NonZero", ["x"], ["n"]),
        helper.make_node("SequenceConstruct", ["x"], ["s"]),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [info("x", 1, ["N", 3]), info("x3", 1, ["N", 3, 3])], [info("y", 1, ["N", 3])])
    domains = [("", 17), ("com.microsoft", 1), ("ai.onnx.ml", 3), ("acme", 1)]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*d) for d in domains], ir_version=8)
    assert problems_of(model) == (
        "operator Det is not supported (1 node: 'head/det'); write the layer with other operators, or with a later opset where it "
        "is one",
        "operator NonZero is not supported (1 node: the node of 'n'); the size of its result depends on the data: use Where and "
        "a reduction",
        "operator SequenceConstruct is not supported (1 node: the node of 's'); sequences and optional values are not compiled: "
        "use Split, Concat or Slice",
        "operator acme.Frobnicate is not supported (1 node: the node of 'f'); a custom operator: express it with standard "
        "operators, or as a local function of the model",
        "operator ai.onnx.ml.SVMRegressor is not supported (1 node: the node of 'e'); of the classical models, trees, linear "
        "models, scalers and encoders of numbers are compiled",
        "operator com.microsoft.FusedMatMul is not supported (5 nodes: 'mm0', 'mm1', 'mm2' and 2 more); export again without "
        "ONNX Runtime's graph optimizations, which put this operator in",
    )


def test_an_operator_that_is_not_in_onnx_is_named_rather_than_the_checkers_finding():
    model = parsed("(float[N, 3] x) => (float[N, 3] y) { y = Frobnicate(x) }")
    wanted = "operator Frobnicate is not supported (1 node: the node of 'y'); write the layer with other operators"
    assert one_problem(model).startswith(wanted)


def test_a_custom_operator_with_the_name_of_a_standard_one_is_not_taken_for_it():
    model = parsed("(float[N, 3] x) => (float[N, 3] y) { y = acme.Relu(x) }", domains=', "acme" : 1')
    assert one_problem(model).startswith("operator acme.Relu is not supported")


def test_operators_inside_a_data_dependent_branch_are_named_too():
    graph = """(float[N, 3] x, int64[N] i) => (float[N, 3] y) {
        s = ReduceSum<keepdims = 0>(i) c = Cast<to = 9>(s)
        y = If(c) <then_branch = g1 () => (float[N, 3] o) { o = Det(x) }, else_branch = g () => (float[N, 3] o) { o = Neg(x) }> }"""
    problems = problems_of(parsed(graph))
    assert [problem.split(" is not supported")[0] for problem in problems] == ["operator Det", "operator If"]
    assert problems[1].endswith("a branch that depends on the data is not compiled: use Where, or export with the condition fixed")


def test_the_body_of_a_loop_is_searched_too():
    body = "body (int64 i, bool c, float[N, 3] a) => (bool c2, float[N, 3] b) { c2 = Identity(c) b = Det(a) }"
    graph = f"(float[N, 3] x) => (float[N, 3] y) {{ y = Loop(k, t, x) <body = {body}> }}"
    problems = problems_of(parsed(graph, {"k": np.int64(2), "t": np.array(True)}))
    assert [problem.split(" is not supported")[0] for problem in problems] == ["operator Det"]


def test_operators_of_local_functions_are_named_too():
    text = """<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
        case (float[N, 3] x) => (float[N, 3] y) { y = mine.f(x) }
        <domain: "mine", opset_import: ["" : 17]> f (a) => (b) { b, i = Unique(a) }"""
    assert one_problem(onnx.parser.parse_model(text)).startswith("operator Unique is not supported (1 node")


@pytest.mark.parametrize(
    ("op_type", "advice"),
    [
        ("StringNormalizer", "text is handled by the features, not by the model: move it into the feature configuration"),
        ("QLinearMatMul", "export the model in float32: the precision is chosen when compiling"),
    ],
)
def test_each_kind_of_operator_has_its_own_advice(op_type, advice):
    model = parsed(RELU)
    model.graph.node.append(helper.make_node(op_type, ["x"], ["other"]))  # invalid besides: the operator is told first
    assert one_problem(model) == f"operator {op_type} is not supported (1 node: the node of 'other'); {advice}"


@pytest.mark.parametrize(
    ("body", "weights", "reason"),
    [
        (
            "y, m, v = BatchNormalization<training_mode = 1>(x, w, w, w, w)",
            {"w": weight(3)},
            "it is in training mode; export in evaluation",
        ),
        ("y, m = LayerNormalization(x, w, w)", {"w": weight(3)}, "its mean and its inverse deviation are used"),
        ("y = Dropout(x, r, t)", {"r": np.float32(0.5), "t": np.array(True)}, "it is in training mode; export in evaluation mode"),
        ("h, mask = Dropout(x) y = Where(mask, h, x)", {}, "its mask is used; export in evaluation mode (model.eval())"),
        ("y = ScatterND(x, i, u)", {"i": np.array([[0, 1]]), "u": weight(1)}, "it indexes the batch, or an axis of unknown size"),
        (
            "s = Shape(x) n = Slice(s, zero, one) r = Concat<axis = 0>(n, one) t = Tile(w, r) y = Add(x, t)",
            {"zero": np.array([0]), "one": np.array([1]), "w": weight(1, 3)},
            "it computes with a shape that depends on the batch, beyond what the importer folds; write this layer in another way",
        ),
        (
            "u = Unsqueeze(x, at) y = Expand(u, s)",
            {"at": np.array([1]), "s": np.array([4, 1, 3])},
            "it expands the batch to a fixed",
        ),
    ],
)
def test_a_node_that_the_importer_refuses_is_named_with_the_reason(body, weights, reason):
    problem = one_problem(parsed(f"(float[N, 3] x) => (float[N, 3] y) {{ {body} }}", weights))
    assert re.match(r"\w+ the node of '\w+' cannot be imported: ", problem)
    assert reason in problem


def test_a_node_that_fails_in_tvm_is_named_and_nothing_is_printed(capfd):
    graph = "(float[N, 3] x, int64[N] k) => (float[N, 3] y) { m = ReduceMax<keepdims = 1>(k) v, i = TopK(x, m) y = Relu(v) }"
    model = parsed(graph)
    model.graph.node[1].name = "rank/top"
    with pytest.raises(ModelError) as caught:
        import_model(model)
    assert caught.value.problems == (
        "TopK 'rank/top' cannot be imported: TopK k must be a constant; write this layer in another way, or export with another "
        "opset",
    )
    assert isinstance(caught.value.__cause__, ValueError)
    del caught
    assert capfd.readouterr() == ("", "")


def test_an_import_prints_nothing_and_warns_of_nothing(capfd, recwarn):
    import_model(parsed(RELU))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("graph", "shape"),
    [
        ("(float[N, 3] x) => (float y) { y = ReduceMean<keepdims = 0>(x) }", "()"),
        ("(float[N, 3] x) => (float[3] y) { y = ReduceMean<axes = [0], keepdims = 0>(x) }", "(3,)"),
        ("(float[N, 3] x) => (float[1, 3] y) { y = ReduceMax<axes = [0]>(x) }", "(1, 3)"),
        ("(float[N, 3] x) => (float[3, N] y) { y = Transpose<perm = [1, 0]>(x) }", "(3, N)"),
    ],
)
def test_an_output_without_the_batch_axis_is_refused(graph, shape):
    wanted = f"output 'y' has shape {shape}; wanted (N, ...), one row per item: export without reducing the batch"
    assert one_problem(parsed(graph)) == wanted


def test_an_output_with_the_batch_on_a_second_axis_is_refused():
    graph = "(float[N, 3] x) => (float[N, N] y) { t = Transpose<perm = [1, 0]>(x) y = MatMul(x, t) }"
    assert one_problem(parsed(graph)) == "output 'y' has shape (N, N); only the first axis may depend on the batch"


def test_squeeze_without_axes_keeps_the_batch():
    model = parsed("(float[N, 3] x) => (float[N] y) { h = MatMul(x, w) y = Squeeze(h) }", {"w": weight(3, 1)})
    compare(model, batches=(7, 64))  # ONNX Runtime drops the batch of one row
