"""Shapes that a model computes, in the forms in which tf2onnx writes them: known at import, with the batch as a symbol."""

from __future__ import annotations

import numpy as np
import pytest
from frontend_models import compare, operators, parsed, weight

WEIGHTS = {
    "at0": np.array([0]),
    "at1": np.array([1]),
    "at2": np.array([2]),
    "first": np.array([0, 1]),
    "last": np.array([2**31 - 1]),
    "zeros3": np.array([0, 0, 0]),
    "wide3": np.array([10**9] * 3),
    "axes3": np.array([0, 1, 2]),
    "ones3": np.array([1, 1, 1]),
    "flat": np.array([-1, 4]),
    "units": np.array([3], np.int32),
    "length": np.array([5], np.int32),
    "repeats": np.array([1, 1, 5, 1]),
    "dense": weight(4, 3),
    "state": weight(1, 4),
    "minus": np.array([-1]),
    "four": np.array([4]),
}
CASES = {
    # Dense over a sequence: tensordot, whose result gets back the axes of x
    "tensordot": """(float[N, 5, 4] x) => (float[N, 5, 3] y) {
        n = Shape(x) n32 = Cast<to = 6>(n) free = Gather(n32, first) all = Concat<axis = 0>(free, units) shape = Cast<to = 7>(all)
        rows = Reshape(x, flat) product = MatMul(rows, dense) y = Reshape(product, shape) }""",
    # tf.repeat(x[:, None, :], 5, axis=1)
    "repeat": """(float[N, 4] x) => (float[N, 5, 4] y) {
        u = Unsqueeze(x, at1) s = Slice(u, zeros3, wide3, axes3, ones3) t = Unsqueeze(s, at2) tiled = Tile(t, repeats)
        n = Shape(s) n32 = Cast<to = 6>(n) a = Slice(n32, at0, at1, at0) b = Slice(n32, at2, last, at0)
        all = Concat<axis = 0>(a, length, b) shape = Cast<to = 7>(all) y = Reshape(tiled, shape) }""",
    # the first state of a recurrent layer
    "state": """(float[N, 4] x) => (float[N, 4] y) {
        n = Shape(x) n32 = Cast<to = 6>(n) a = Slice(n32, at0, at1, at0) c = Cast<to = 7>(a) all = Concat<axis = 0>(c, four)
        h = Expand(state, all) z = ConstantOfShape(all) s = Add(h, z) y = Mul(s, x) }""",
    # einsum over batch and heads: extents that are multiplied, and the larger of two
    "einsum": """(float[N, 5, 4] x) => (float[N, 20] y, float[N, 5, 4] z) {
        n = Shape(x) b = Gather(n, at0) rest = Gather(n, axes12) p = ReduceProd(rest) m = Max(b, b, at1) s = Concat<axis = 0>(m, p)
        t = Transpose<perm = [0, 2, 1]>(x) w = Shape(t) back = Gather(w, order) flat_ = Reshape(x, s) y = Tanh(flat_)
        twice = Mul(back, ones3) z = Reshape(flat_, twice) }""",
    "arithmetic": """(float[N, 4] x) => (float[N, 4] y) {
        n = Shape(x) d = Gather(n, at1) h = Div(d, at2) k = Sub(d, h) both = Add(h, k) e = Equal(n, pair) chosen = Where(e, pair, n)
        b = Gather(chosen, at0) s = Concat<axis = 0>(b, both) y = Reshape(x, s) }""",
}


@pytest.mark.parametrize("name", CASES)
def test_shapes_that_are_computed_are_known_at_import(name):
    more = {"axes12": np.array([1, 2]), "order": np.array([0, 2, 1]), "pair": np.array([-1, 4])}
    dense = compare(parsed(CASES[name], WEIGHTS | more))
    left = set(operators(dense))
    assert not left & {"shape_to_tensor", "tensor_to_shape", "shape_of", "astype", "call_tir", "call_pure_packed"}
