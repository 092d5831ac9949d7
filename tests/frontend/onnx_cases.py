"""One small graph per operator, or use of it, of a ranking model; every output has the batch first."""

from __future__ import annotations

import numpy as np
from frontend_models import weight

SHAPE = (
    "n = Shape(x) zero = Constant<value_int = 0>() b = Gather(n, zero) at0 = Constant<value_ints = [0]>() b1 = Unsqueeze(b, at0)"
)

# name -> (graph, weights); every output has the batch first.
CASES: dict[str, tuple[str, dict]] = {
    "gemm": ("(float[N, 8] x) => (float[N, 6] y) { y = Gemm<transB = 1>(x, w, b) }", {"w": weight(6, 8), "b": weight(6)}),
    "gemm_scaled": (
        "(float[N, 8] x) => (float[N, 6] y) { y = Gemm<alpha = 0.5, beta = 2.0>(x, w, b) }",
        {"w": weight(8, 6), "b": weight(6)},
    ),
    "gemm_without_bias": ("(float[N, 8] x) => (float[N, 6] y) { y = Gemm(x, w) }", {"w": weight(8, 6)}),
    "batch_normalization": (
        "(float[N, 8] x) => (float[N, 8] y) { y = BatchNormalization<epsilon = 0.001>(x, s, b, m, v) }",
        {"s": weight(8), "b": weight(8, seed=1), "m": weight(8, seed=2), "v": np.abs(weight(8, seed=3))},
    ),
    "batch_normalization_of_rank_3": (
        "(float[N, 4, 5] x) => (float[N, 4, 5] y) { y = BatchNormalization(x, s, b, m, v) }",
        {"s": weight(4), "b": weight(4, seed=1), "m": weight(4, seed=2), "v": np.abs(weight(4, seed=3))},
    ),
    "layer_normalization": (
        "(float[N, 8] x) => (float[N, 8] y) { y = LayerNormalization<axis = -1>(x, g, b) }",
        {"g": weight(8), "b": weight(8, seed=1)},
    ),
    "softmax": ("(float[N, 5, 3] x) => (float[N, 5, 3] y) { y = Softmax<axis = 1>(x) }", {}),
    "prelu_per_column": ("(float[N, 8] x) => (float[N, 8] y) { y = PRelu(x, s) }", {"s": weight(8)}),
    "prelu_shared": ("(float[N, 8] x) => (float[N, 8] y) { y = PRelu(x, s) }", {"s": weight(1)}),
    "embedding_of_a_scalar_id": ("(int64[N] x) => (float[N, 4] y) { y = Gather(table, x) }", {"table": weight(5, 4)}),
    "embedding_of_a_column": (
        "(int64[N, 1] x) => (float[N, 4] y) { e = Gather(table, x) at1 = Constant<value_ints = [1]>() y = Squeeze(e, at1) }",
        {"table": weight(5, 4)},
    ),
    "embedding_with_a_shifted_id": (
        "(int64[N] x) => (float[N, 4] y) { s = Add(x, three) i = Mod(s, five) y = Gather(table, i) }",
        {"table": weight(5, 4), "three": np.int64(3), "five": np.int64(5)},
    ),
    "gather_negative_indices": (
        "(int64[N] x) => (float[N, 4] y) { s = Sub(x, five) y = Gather(table, s) }",
        {"table": weight(5, 4), "five": np.int64(5)},
    ),
    "gather_columns": ("(float[N, 6] x) => (float[N, 3] y) { y = Gather<axis = 1>(x, i) }", {"i": np.array([5, 0, -2])}),
    "concat": ("(float[N, 3] x, float[M, 4] z) => (float[N, 7] y) { y = Concat<axis = -1>(x, z) }", {}),
    "slice": (
        "(float[N, 9] x) => (float[N, 3] y) { y = Slice(x, a, b, axis, step) }",
        {"a": np.array([1]), "b": np.array([7]), "axis": np.array([1]), "step": np.array([2])},
    ),
    "slice_to_the_end": (
        "(float[N, 9] x) => (float[N, 2] y) { y = Slice(x, a, b, axis) }",
        {"a": np.array([-2]), "b": np.array([2**63 - 1]), "axis": np.array([-1])},
    ),
    "split": ("(float[N, 9] x) => (float[N, 4] y, float[N, 5] z) { y, z = Split<axis = 1>(x, s) }", {"s": np.array([4, 5])}),
    "unsqueeze_and_expand": (
        "(float[N, 3] x) => (float[N, 4, 3] y) { u = Unsqueeze(x, at1) y = Expand(u, s) }",
        {"at1": np.array([1]), "s": np.array([1, 4, 1])},
    ),
    "expand_of_a_weight_to_the_batch": (
        f"(float[N, 3] x) => (float[N, 4] y) {{ {SHAPE} s = Concat<axis = 0>(b1, four) y = Expand(w, s) }}",
        {"w": weight(1, 4), "four": np.array([4])},
    ),
    "expand_as_torch_writes_it": (
        """(float[N, 3] x) => (float[N, 4, 3] y) {
            u = Unsqueeze(x, at1) minus = Constant<value_ints = [-1, 4, -1]>() ones = ConstantOfShape<value = int64[1] {1}>(three)
            is_minus = Equal(minus, neg) s = Where(is_minus, ones, minus) y = Expand(u, s) }""",
        {"at1": np.array([1]), "three": np.array([3]), "neg": np.array([-1])},
    ),
    "constant_of_shape": (
        f"(float[N, 3] x) => (float[N, 4] y) {{ {SHAPE} s = Concat<axis = 0>(b1, four) "
        "z = ConstantOfShape<value = float[1] {2.5}>(s) r = ReduceSum(x, at1) y = Add(z, r) }",
        {"four": np.array([4]), "at1": np.array([1])},
    ),
    "reduce_sum": ("(float[N, 4, 3] x) => (float[N, 3] y) { y = ReduceSum<keepdims = 0>(x, a) }", {"a": np.array([1])}),
    "reduce_mean": ("(float[N, 4, 3] x) => (float[N, 1, 3] y) { y = ReduceMean<axes = [1]>(x) }", {}),
    "reduce_max_min": (
        "(float[N, 4, 3] x) => (float[N, 3] y, float[N, 4] z) "
        "{ y = ReduceMax<axes = [1], keepdims = 0>(x) z = ReduceMin<axes = [-1], keepdims = 0>(x) }",
        {},
    ),
    "reduce_l2": ("(float[N, 6] x) => (float[N, 6] y) { l = ReduceL2<axes = [1]>(x) y = Div(x, l) }", {}),
    "matmul_of_two_activations": (
        "(float[N, 4, 3] x, float[N, 3, 5] z) => (float[N, 4, 5] y) { y = MatMul(x, z) }",
        {},
    ),
    "attention_pooling": (
        """(float[N, 5, 3] x, float[N, 3] q) => (float[N, 3] y) {
            q1 = Unsqueeze(q, at1) k = Transpose<perm = [0, 2, 1]>(x) s = MatMul(q1, k) p = Softmax<axis = -1>(s)
            o = MatMul(p, x) y = Squeeze(o, at1) }""",
        {"at1": np.array([1])},
    ),
    "einsum": ('(float[N, 4, 3] x, float[N, 4, 3] z) => (float[N, 4] y) { y = Einsum<equation = "bij,bij->bi">(x, z) }', {}),
    "sigmoid_tanh": ("(float[N, 3] x) => (float[N, 3] y) { s = Sigmoid(x) t = Tanh(x) y = Mul(s, t) }", {}),
    "where": (
        "(float[N, 3] x, float[N, 3] z) => (float[N, 3] y) { c = Greater(x, z) s = Neg(z) y = Where(c, x, s) }",
        {},
    ),
    "clip": (
        "(float[N, 3] x) => (float[N, 3] y) { y = Clip(x, low, high) }",
        {"low": np.float32(-0.5), "high": np.float32(0.25)},
    ),
    "clip_from_below": ("(float[N, 3] x) => (float[N, 3] y) { y = Clip(x, low) }", {"low": np.float32(-0.5)}),
    "pow_sqrt_log": (
        "(float[N, 3] x) => (float[N, 3] y) { p = Pow(x, two) q = Add(p, one) s = Sqrt(q) y = Log(s) }",
        {"two": np.float32(2), "one": np.float32(1)},
    ),
    "pow_with_an_integer_exponent": ("(float[N, 3] x) => (float[N, 3] y) { y = Pow(x, two) }", {"two": np.int64(3)}),
    "max_min_sum_mean": (
        "(float[N, 3] x, float[N, 3] z) => (float[N, 3] y, float[N, 3] m) "
        "{ a = Max(x, z, c) b = Min(x, z) y = Sum(a, b, x) m = Mean(x, z, c) }",
        {"c": weight(3)},
    ),
    "activations": (
        "(float[N, 3] x) => (float[N, 3] y) { a = LeakyRelu<alpha = 0.1>(x) b = Elu(a) c = Softplus(b) d = HardSigmoid(c) "
        "e = Selu(d) f = Erf(e) y = HardSwish(f) }",
        {},
    ),
    "cast_and_compare": (
        "(int64[N] x, float[N, 1] z) => (float[N, 1] y) { f = Cast<to = 1>(x) u = Unsqueeze(f, at1) b = Less(u, z) "
        "c = Cast<to = 1>(b) y = Add(c, u) }",
        {"at1": np.array([1])},
    ),
    "flatten": ("(float[N, 4, 3] x) => (float[N, 12] y) { y = Flatten(x) }", {}),
    "reshape_with_minus_one": ("(float[N, 4, 3] x) => (float[N, 12] y) { y = Reshape(x, s) }", {"s": np.array([-1, 12])}),
    "reshape_with_zero": ("(float[N, 12] x) => (float[N, 4, 3] y) { y = Reshape(x, s) }", {"s": np.array([0, 4, 3])}),
    "reshape_through_the_batch": (
        "(float[N, 4, 3] x) => (float[N, 4, 2] y) { f = Reshape(x, s) h = MatMul(f, w) y = Reshape(h, t) }",
        {"s": np.array([-1, 3]), "t": np.array([-1, 4, 2]), "w": weight(3, 2)},
    ),
    "reshape_with_computed_shape": (
        f"(float[N, 4, 3] x) => (float[N, 12] y) {{ {SHAPE} s = Concat<axis = 0>(b1, twelve) y = Reshape(x, s) }}",
        {"twelve": np.array([12])},
    ),
    "reshape_with_computed_product": (
        f"(float[N, 4, 3] x) => (float[N, 4, 2] y) {{ {SHAPE} m = Mul(b, four) m1 = Unsqueeze(m, at0) "
        "s = Concat<axis = 0>(m1, three) f = Reshape(x, s) h = MatMul(f, w) "
        "t = Concat<axis = 0>(b1, four1, minus) y = Reshape(h, t) }",
        {"four": np.int64(4), "four1": np.array([4]), "three": np.array([3]), "minus": np.array([-1]), "w": weight(3, 2)},
    ),
    "reshape_with_sliced_shape": (
        "(float[N, 4, 3] x) => (float[N, 4, 3, 1] y) { n = Shape(x) h = Slice(n, zero, two) "
        "s = Concat<axis = 0>(h, rest) y = Reshape(x, s) }",
        {"zero": np.array([0]), "two": np.array([2]), "rest": np.array([3, 1])},
    ),
    "reshape_with_gathered_columns_of_the_shape": (
        "(float[N, 4, 3] x) => (float[N, 3, 4] y) { n = Shape(x) s = Gather(n, order) y = Reshape(x, s) }",
        {"order": np.array([0, 2, 1])},
    ),
    "gemm_of_float64": (
        "(float[N, 8] x) => (double[N, 6] y) { d = Cast<to = 11>(x) y = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(d, w, b) }",
        {"w": weight(6, 8).astype(np.float64), "b": weight(6).astype(np.float64)},
    ),
    "gemm_with_a_bias_of_the_batch": (
        "(float[N, 8] x, float[N, 6] b) => (float[N, 6] y) { y = Gemm<beta = 0.5>(x, w, b) }",
        {"w": weight(8, 6)},
    ),
    "slice_that_takes_the_whole_batch": (
        "(float[N, 9] x) => (float[N, 3] y, float[N, 9] z) { a = Slice(x, from, end, axes) y = Slice(a, one, four, column) "
        "z = Slice(x, from, end32, axes) }",
        {
            "from": np.array([0]),
            "end": np.array([2**63 - 1]),
            "end32": np.array([2**31 - 1]),
            "axes": np.array([0]),
            "one": np.array([1]),
            "four": np.array([4]),
            "column": np.array([1]),
        },
    ),
    "slice_of_the_batch_and_of_columns_at_once": (
        "(float[N, 9] x) => (float[N, 3] y) { y = Slice(x, from, to) }",
        {"from": np.array([0, 2]), "to": np.array([2**63 - 1, 5])},
    ),
    "slice_backwards": (
        "(float[N, 6] x) => (float[N, 6] y) { y = Slice(x, from, to, axis, step) }",
        {"from": np.array([-1]), "to": np.array([-100]), "axis": np.array([1]), "step": np.array([-1])},
    ),
    "slice_of_a_constant_shape": (
        "(float[N, 12] x) => (float[N, 4, 3] y) { s = Slice(all, from, to) y = Reshape(x, s) }",
        {"all": np.array([7, -1, 4, 3]), "from": np.array([1]), "to": np.array([9])},
    ),
    "range_over_the_batch": (
        f"(float[N, 3] x) => (float[N, 3] y) {{ {SHAPE} r = Range(zero, b, one) f = Cast<to = 1>(r) "
        "u = Unsqueeze(f, at1) y = Add(x, u) }",
        {"one": np.int64(1), "at1": np.array([1])},
    ),
    "gather_and_scatter_elements": (
        "(float[N, 6] x) => (float[N, 2] y, float[N, 6] z) { v, i = TopK(x, k) y = GatherElements<axis = 1>(x, i) "
        "n = Neg(v) z = ScatterElements<axis = 1>(x, i, n) }",
        {"k": np.array([2])},
    ),
    "gather_of_a_position_per_row": (
        "(float[N, 5, 3] x, int64[N, 1] i) => (float[N, 3] y) { y = GatherND<batch_dims = 1>(x, i) }",
        {},
    ),
    "powers": (
        "(float[N, 3] x) => (float[N, 3] y) { a = Pow(x, p3) s = Abs(x) b = Pow(s, half) c = Pow(s, p17) d = Pow(s, column) "
        "y = Sum(a, b, c, d) }",
        {"p3": np.float32(3), "half": np.float32(0.5), "p17": np.float32(1.7), "column": np.array([1, 2, 3], np.float32)},
    ),
    "power_of_integers": ("(int64[N] x) => (int64[N] y) { y = Pow(x, p) }", {"p": np.float32(2)}),
    "tile": ("(float[N, 3] x) => (float[N, 6] y) { y = Tile(x, r) }", {"r": np.array([1, 2])}),
    "pad": (
        "(float[N, 3] x) => (float[N, 5] y) { y = Pad(x, p) }",
        {"p": np.array([0, 1, 0, 1])},
    ),
    "top_k": (
        "(float[N, 6] x) => (float[N, 2] y, int64[N, 2] i) { y, i = TopK(x, k) }",
        {"k": np.array([2])},
    ),
    "arg_max": ("(float[N, 6] x) => (int64[N] y) { y = ArgMax<axis = 1, keepdims = 0>(x) }", {}),
    "one_hot": ("(int64[N] x) => (float[N, 5] y) { y = OneHot(x, d, v) }", {"d": np.int64(5), "v": np.array([0, 1], np.float32)}),
    "cum_sum": ("(float[N, 6] x) => (float[N, 6] y) { y = CumSum(x, one) }", {"one": np.int64(1)}),
    "gelu_as_torch_writes_it": (
        "(float[N, 3] x) => (float[N, 3] y) { a = Div(x, r) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half) }",
        {"r": np.float32(1.4142135), "one": np.float32(1), "half": np.float32(0.5)},
    ),
    "dot_interaction": (
        """(float[N, 4, 3] x) => (float[N, 6] y) {
            t = Transpose<perm = [0, 2, 1]>(x) d = MatMul(x, t) f = Reshape(d, s) y = Gather<axis = 1>(f, upper) }""",
        {"s": np.array([-1, 16]), "upper": np.array([1, 2, 3, 6, 7, 11])},
    ),
}
