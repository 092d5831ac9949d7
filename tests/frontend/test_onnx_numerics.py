"""Every operator that a ranking model uses gives ONNX Runtime's numbers at batches of 1, 7 and 64 after the import."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from frontend_models import TARGET, compare, operators, parsed, weight
from onnx_cases import CASES

from tvm_rank.frontend.onnx_file import MAX_OPSET, MIN_OPSET
from tvm_rank.frontend.onnx_model import import_model


@pytest.mark.parametrize("case", CASES)
def test_imported_model_gives_the_numbers_of_onnx_runtime(case):
    graph, weights = CASES[case]
    compare(parsed(graph, weights))


EVERY_OPSET = """(float[N, 6, 2] x, int64[N, 1] id) => (float[N, 12] y, float[N, 4] z) {
    s = Softmax<axis = 1>(x) f = Flatten(s) h = Gemm(f, w, b)
    n = BatchNormalization(h, s4, b4, m4, v4) d = Dropout(n) c = Clip(d, low, high)
    e = Gather(table, id) r = Reshape(e, shape) t = Tanh(r) m = Max(c, t) g = Concat<axis = 1>(m, c, t)
    l = Slice(g, from, to, axis) z = Sub(l, c) y = Add(g, f) }"""
EVERY_OPSET_WEIGHTS = {
    "w": weight(12, 4),
    "b": weight(4),
    "s4": weight(4),
    "b4": weight(4, seed=1),
    "m4": weight(4, seed=2),
    "v4": np.abs(weight(4, seed=3)),
    "low": np.float32(-1),
    "high": np.float32(1),
    "table": weight(5, 4),
    "shape": np.array([-1, 4]),
    "from": np.array([3]),
    "to": np.array([7]),
    "axis": np.array([1]),
}


@pytest.mark.parametrize("opset", range(MIN_OPSET, MAX_OPSET + 1))
def test_every_accepted_opset_gives_the_numbers_of_onnx_runtime(opset):
    compare(parsed(EVERY_OPSET, EVERY_OPSET_WEIGHTS, opset=opset))


def test_attributes_that_became_inputs_in_opset_13_are_read():
    compare(
        parsed(
            """(float[N, 1, 4, 3] x) => (float[N, 3, 1] y, float[N, 2] z) {
            a = Squeeze<axes = [1]>(x) b = ReduceSum<axes = [1], keepdims = 0>(a) y = Unsqueeze<axes = [2]>(b)
            c, z = Split<axis = 1, split = [1, 2]>(b) }""",
            opset=12,
        )
    )


def test_an_index_of_the_last_rows_may_be_written_as_negative():
    model = parsed("(int64[N] x) => (float[N, 4] y) { y = Gather(table, x) }", {"table": weight(5, 4)})
    machine = tvm.relax.VirtualMachine(tvm.compile(import_model(model, keep_lookups=True).mod, target=TARGET), tvm.cpu())
    got = machine["main"](tvm.runtime.tensor(np.array([-1, -5, 4, 0])))[0].numpy()
    np.testing.assert_array_equal(got, weight(5, 4)[[4, 0, 4, 0]])


def test_an_index_outside_of_a_table_reads_inside_of_it():
    model = parsed("(int64[N] x) => (float[N, 4] y) { y = Gather(table, x) }", {"table": weight(5, 4)})
    machine = tvm.relax.VirtualMachine(tvm.compile(import_model(model, keep_lookups=True).mod, target=TARGET), tvm.cpu())
    got = machine["main"](tvm.runtime.tensor(np.array([5, 2**62, -(2**62)])))[0].numpy()
    np.testing.assert_array_equal(got, weight(5, 4)[np.array([5, 2**62, -(2**62)]) % 5])


def test_gather_elements_outside_of_the_axis_reads_inside_of_it():
    graph = "(float[N, 3] x, int64[N, 1] i) => (float[N, 1] y) { y = GatherElements<axis = 1>(x, i) }"
    machine = tvm.relax.VirtualMachine(tvm.compile(import_model(parsed(graph)).mod, target=TARGET), tvm.cpu())
    x, i = weight(4, 3), np.array([[2], [-1], [2**62], [3]])
    got = machine["main"](tvm.runtime.tensor(x), tvm.runtime.tensor(i))[0].numpy()
    np.testing.assert_array_equal(got, np.take_along_axis(x, i % 3, axis=1))


def test_clip_with_bounds_in_reverse_order_gives_the_upper_bound_as_onnx_runtime_does():
    graph = "(float[N, 3] x) => (float[N, 3] y) { y = Clip(x, low, high) }"
    compare(parsed(graph, {"low": np.float32(0.5), "high": np.float32(-0.25)}))


def test_gelu_of_onnx_runtime_is_imported():
    graph = "(float[N, 3] x) => (float[N, 3] y) { y = com.microsoft.Gelu(x) }"
    compare(parsed(graph, domains=', "com.microsoft" : 1'), atol=1e-5)


def test_biased_and_fast_gelu_of_onnx_runtime_are_imported():
    graph = "(float[N, 3] x) => (float[N, 3] y) { a = com.microsoft.BiasGelu(x, b) y = com.microsoft.FastGelu(a, b) }"
    compare(parsed(graph, {"b": weight(3)}, domains=', "com.microsoft" : 1'), atol=1e-4)


MLP = """(float[N, 8] x, int64[N, 1] id) => (float[N, 3] p, float[N, 3] q) {
    h = Gemm<transB = 1>(x, w1, b1) n = BatchNormalization(h, b1, b1, b1, v) d = Dropout(n) i = Identity(d) r = Relu(i)
    e = Gather(table, id) at1 = Constant<value_ints = [1]>() e1 = Squeeze(e, at1) c = Concat<axis = 1>(r, e1)
    z = MatMul(c, w2) p = Softmax(z) q = Sigmoid(z) }"""
MLP_WEIGHTS = {"w1": weight(6, 8), "b1": weight(6), "v": np.abs(weight(6)), "table": weight(5, 4), "w2": weight(10, 3)}


def test_a_multilayer_perceptron_becomes_a_plain_graph():
    dense = compare(parsed(MLP, MLP_WEIGHTS))
    wanted = "matmul add multiply add nn.relu take squeeze concat matmul nn.softmax sigmoid"
    assert operators(dense) == wanted.split()


def test_what_no_output_needs_and_what_is_computed_twice_is_dropped():
    graph = """(float[N, 3] x) => (float[N, 3] y) {
        unused = Exp(x) a = Tanh(x) b = Tanh(x) s = Add(a, b) k = Add(c, c) y = Mul(s, k) }"""
    assert operators(compare(parsed(graph, {"c": weight(3)}))) == ["tanh", "add", "multiply"]


def test_constants_in_all_their_forms_are_read():
    graph = """(float[N, 2] x) => (float[N, 2] y, int64[N, 2] z) {
        a = Constant<value_float = 2.5>() b = Constant<value_floats = [1.0, 3.0]>() c = Constant<value = float[2] {4.0, 5.0}>()
        d = Add(x, a) e = Mul(d, b) y = Sub(e, c) f = Constant<value_int = 3>() g = Constant<value_ints = [1, 2]>()
        h = Cast<to = 7>(x) i = Add(h, f) z = Mul(i, g) }"""
    compare(parsed(graph))
