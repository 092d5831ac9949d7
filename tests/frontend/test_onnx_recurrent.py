"""GRU, LSTM, RNN, Scan and Loop give ONNX Runtime's numbers; what has no fixed number of steps is refused."""

from __future__ import annotations

import numpy as np
import pytest
from frontend_models import compare, one_problem, operators, parsed, weight

STEPS = "t = Transpose<perm = [1, 0, 2]>(x)"


def recurrent(gates: int, directions: int = 1) -> dict[str, np.ndarray]:
    """Weights of 4 inputs and 3 hidden numbers."""
    shapes = {"w": (gates * 3, 4), "r": (gates * 3, 3), "b": (2 * gates * 3,)}
    return {name: weight(directions, *shape) * np.float32(0.4) for name, shape in shapes.items()}


def both(node: str) -> str:
    """A bidirectional layer: its outputs of all steps and its last states, batch first."""
    return f"""(float[N, 3, 4] x) => (float[N, 3, 2, 3] y, float[N, 2, 3] h) {{
        {STEPS} all, last = {node}(t, w, r, b) y = Transpose<perm = [2, 0, 1, 3]>(all) h = Transpose<perm = [1, 0, 2]>(last) }}"""


GRU = 'GRU<hidden_size = 3, direction = "bidirectional", linear_before_reset = 1>'
CASES = {
    "gru": (both(GRU), recurrent(3, 2)),
    "gru_that_resets_first_and_backwards": (
        f"""(float[N, 3, 4] x) => (float[N, 3] h) {{ {STEPS}
        all, last = GRU<hidden_size = 3, direction = "reverse">(t, w, r, b) h = Squeeze(last, at0) }}""",
        recurrent(3) | {"at0": np.array([0])},
    ),
    "gru_with_lengths_and_a_first_state": (
        f"""(float[N, 3, 4] x, int64[N] n, float[N, 1, 3] s) => (float[N, 3, 1, 3] y, float[N, 1, 3] h) {{ {STEPS}
        m = Mod(n, four) i = Cast<to = 6>(m) first = Transpose<perm = [1, 0, 2]>(s)
        all, last = GRU<hidden_size = 3>(t, w, r, b, i, first)
        y = Transpose<perm = [2, 0, 1, 3]>(all) h = Transpose<perm = [1, 0, 2]>(last) }}""",
        recurrent(3) | {"four": np.int64(4)},
    ),
    "lstm_with_peepholes_and_cells": (
        f"""(float[N, 3, 4] x) => (float[N, 3, 2, 3] y, float[N, 2, 3] c) {{ {STEPS}
        all, last, cell = LSTM<hidden_size = 3, direction = "bidirectional">(t, w, r, b, , , , p)
        y = Transpose<perm = [2, 0, 1, 3]>(all) c = Transpose<perm = [1, 0, 2]>(cell) }}""",
        recurrent(4, 2) | {"p": weight(2, 9)},
    ),
    "rnn_of_another_activation": (
        both('RNN<hidden_size = 3, direction = "bidirectional", activations = ["Relu", "Tanh"]>'),
        recurrent(1, 2),
    ),
    "scan_over_two_sequences": (
        """(float[N, 3, 4] x, float[N, 3, 4] z) => (float[N, 4] last, float[N, 4, 3] y) {
        start = Mul(s, one) first = Squeeze(start, at1)
        last, y = Scan<num_scan_inputs = 2, scan_input_axes = [1, 1], scan_input_directions = [0, 1], scan_output_axes = [2],
            body = step (float[N, 4] h, float[N, 4] a, float[N, 4] b) => (float[N, 4] next, float[N, 4] out)
            { p = Mul(a, b) q = Add(p, h) k = Constant<value_float = 0.5>() next = Mul(q, k) out = Tanh(next) }>(first, x, z) }""".replace(
            "start = Mul(s, one) first = Squeeze(start, at1)", "row = Slice(x, zero, unit, at1) first = Squeeze(row, at1)"
        ),
        {"zero": np.array([0]), "unit": np.array([1]), "at1": np.array([1])},
    ),
    "loop_over_the_length_of_a_sequence": (
        """(float[N, 3, 4] x) => (float[N, 4] h, float[N, 3, 4] y) {
        n = Shape(x) length = Gather(n, one) row = Slice(x, zeros, units, ones) first = Squeeze(row, ones)
        h, all = Loop<body = step (int64 i, bool c, float[N, 4] s) => (bool more, float[N, 4] next, float[N, 4] out) {
            a = Gather<axis = 1>(x, i) next = Add(a, s) out = Tanh(next) more = Identity(c) }>(length, , first)
        y = Transpose<perm = [1, 0, 2]>(all) }""",
        {"one": np.int64(1), "zeros": np.array([0]), "units": np.array([1]), "ones": np.array([1])},
    ),
    "loop_that_counts_by_itself": (
        """(float[N, 4] x) => (float[N, 4] h) {
        k, h = Loop<body = step (int64 i, bool c, int64 k, float[N, 4] s) => (bool more, int64 next, float[N, 4] out) {
            step = Constant<value_int = 2>() next = Add(k, step) end = Constant<value_int = 5>() more = Less(next, end)
            out = Mul(s, x) }>(, yes, start, x) }""",
        {"yes": np.array(True), "start": np.int64(0)},
    ),
    "lp_normalization": ("(float[N, 4] x) => (float[N, 4] y) { a = LpNormalization(x) y = LpNormalization<p = 1>(a) }", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_imported_layers_give_the_numbers_of_onnx_runtime(case):
    graph, weights = CASES[case]
    compare(parsed(graph, weights), batches=(1, 7))


def test_a_first_state_of_zeros_needs_no_rows_and_a_transposition_of_the_steps_goes():
    graph = f"""(float[N, 3, 4] x) => (float[N, 3] h) {{ {STEPS} n = Shape(x) b = Slice(n, zero, unit) s = Concat<axis = 0>(unit, b, three)
        first = ConstantOfShape<value = float[1] {{0}}>(s)
        all, last = GRU<hidden_size = 3, linear_before_reset = 1>(t, w, r, b3, , first) h = Squeeze(last, zero) }}"""
    weights = recurrent(3)
    weights["b3"] = weights.pop("b")
    found = operators(
        compare(parsed(graph, weights | {"zero": np.array([0]), "unit": np.array([1]), "three": np.array([3])}), batches=(1, 7))
    )
    assert found.count("matmul") == 1 + 2 * 2  # the inputs of all steps, and two products of a state in the second and third
    assert not {"full", "zeros", "broadcast_to"} & set(found)
    assert found[0] != "permute_dims"


def test_an_embedding_and_its_layers_as_both_exporters_of_pytorch_write_them():
    graph = """(int64[N] item, int64[N, 3] clicks) => (float[N, 1] score) {
        n = Shape<start = 0, end = 1>(clicks) e = Gather(table, clicks) t = Transpose<perm = [1, 0, 2]>(e)
        s = Concat<axis = 0>(two, n, three) zeros = Expand(zero, s) all, last = GRU<hidden_size = 3, direction = "bidirectional",
            linear_before_reset = 1>(t, w, r, b, , zeros)
        p = Transpose<perm = [0, 2, 1, 3]>(all) q = Reshape(p, shape) y = Transpose<perm = [1, 0, 2]>(q) end = Gather<axis = 1>(y, minus)
        u = Gather(table, item) c = Concat<axis = 1>(u, end) o = Gemm<transB = 1>(c, v, bias) score = Sigmoid(o) }"""
    weights = recurrent(3, 2) | {"table": weight(5, 4), "v": weight(1, 10), "bias": weight(1), "zero": np.float32(0)}
    weights |= {"two": np.array([2]), "three": np.array([3]), "minus": np.int64(-1), "shape": np.array([0, 0, -1])}
    compare(parsed(graph, weights), batches=(1, 7))


@pytest.mark.parametrize(
    ("graph", "weights", "reason"),
    [
        (
            """(float[N, 4] x) => (float[N, 4] h) { total = ReduceSum<keepdims = 0>(x)
            h = Loop<body = step (int64 i, bool c, float[N, 4] s) => (bool more, float[N, 4] next) {
                next = Mul(s, x) sum = ReduceSum<keepdims = 0>(next) end = Constant<value_float = 5.0>()
                more = Less(sum, end) }>(, yes, x) }""",
            {"yes": np.array(True)},
            "it ends by a condition on the data",
        ),
        (
            """(float[N, 4] x, int64[N] k) => (float[N, 4] h) { m = ReduceMax<keepdims = 0>(k)
            h = Loop<body = step (int64 i, bool c, float[N, 4] s) => (bool more, float[N, 4] next) {
                next = Mul(s, x) more = Identity(c) }>(m, , x) }""",
            {},
            "how often it runs depends on the data",
        ),
        (
            f"(float[N, 3, 4] x) => (float[N, 3] h) {{ {STEPS} a, l = GRU<hidden_size = 3, clip = 1.0>(t, w, r, b) h = Squeeze(l, at0) }}",
            recurrent(3) | {"at0": np.array([0])},
            "must not clip",
        ),
    ],
)
def test_what_cannot_be_unrolled_is_refused_with_the_reason(graph, weights, reason):
    assert reason in one_problem(parsed(graph, weights))
