"""FoldScales, RemoveMoves and FuseNorms: what exporters spell out takes fewer operators, and the results stay."""

from __future__ import annotations

import numpy as np
import pytest
from sided_graph import ITEM, USER, Graph, assert_kept, check, weight
from tvm import relax

from relay_passes.fold_scales import FoldScales
from relay_passes.fuse_norms import FuseNorms
from relay_passes.remove_moves import RemoveMoves

UNITS = 6


def vector(size: int, seed: int = 0, *axes: int) -> relax.Expr:
    numbers = np.random.default_rng([seed, size]).uniform(0.5, 2, size).astype(np.float32)
    return relax.const(numbers.reshape(*axes, size))


def product(g: Graph, x: relax.Expr, depth: int = ITEM, units: int = UNITS) -> relax.Var:
    return g(relax.op.matmul(x, relax.const(weight(depth, units))))


def normalized(g: Graph, x: relax.Expr, width: int = UNITS) -> relax.Var:
    """A batch normalization as the importer has it: one multiplication, one addition."""
    return g(relax.op.add(g(relax.op.multiply(x, vector(width, 1))), vector(width, 2)))


def test_a_batch_normalization_behind_a_layer_is_in_its_weights():
    check(FoldScales(), lambda g: [normalized(g, g(relax.op.add(product(g, g.item), vector(UNITS))))], ["matmul N", "add N"])


def test_a_batch_normalization_ahead_of_a_layer_is_in_its_weights():
    check(FoldScales(), lambda g: [product(g, normalized(g, g.item, ITEM))], ["matmul N", "add N"])


def test_one_between_layers_goes_into_the_first():
    def body(g: Graph):
        return [product(g, normalized(g, product(g, g.item)), UNITS, 4)]

    check(FoldScales(), body, ["matmul N", "add N", "matmul N"])


def test_one_behind_an_activation_goes_into_the_next_layer():
    def body(g: Graph):
        last = product(g, normalized(g, g(relax.op.nn.relu(product(g, g.item)))), UNITS, 4)
        return [g(relax.op.add(last, vector(4, 5)))]

    check(FoldScales(), body, ["matmul N", "nn.relu N", "matmul N", "add N"])


def test_subtraction_and_division_count_and_left_operands_do():
    def body(g: Graph):
        apart = g(relax.op.subtract(vector(UNITS, 3), product(g, g.item)))
        return [g(relax.op.subtract(g(relax.op.divide(apart, vector(UNITS, 4))), relax.const(np.float32(0.5))))]

    check(FoldScales(), body, ["matmul N", "add N"])


def test_a_chain_by_no_layer_is_one_multiplication_and_one_addition():
    check(FoldScales(), lambda g: [g(relax.op.nn.relu(normalized(g, normalized(g, g.item, ITEM), ITEM)))],
          ["multiply N", "add N", "nn.relu N"])  # fmt: skip


KEPT = {
    "a bias": lambda g: [g(relax.op.add(product(g, g.item), vector(UNITS)))],
    "a product that is read twice": lambda g: [g(relax.op.multiply(p := product(g, g.item), vector(UNITS))), g(relax.op.exp(p))],
    "a scale by row": lambda g: [product(g, g(relax.op.multiply(g.item, g(relax.op.sum(g.item, axis=[1], keepdims=True)))))],
    "a broadcast": lambda g: [g(relax.op.multiply(g(relax.op.sum(g.item, axis=[1], keepdims=True)), vector(UNITS)))],
    "a number over a value": lambda g: [g(relax.op.divide(vector(UNITS), product(g, g.item)))],
    "a division by zero": lambda g: [g(relax.op.divide(product(g, g.item), relax.const(np.zeros(UNITS, np.float32))))],
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_scales_that_cannot_be_folded_stay(body):
    assert_kept(FoldScales(), body)


def shaped(g: Graph, x: relax.Expr, *extents: int) -> relax.Var:
    return g(relax.op.reshape(x, relax.ShapeExpr([x.ty.shape.values[0], *extents])))


def moved(g: Graph, x: relax.Expr, *axes: int) -> relax.Var:
    return g(relax.op.permute_dims(x, list(axes)))


def cube(g: Graph) -> relax.Var:
    """(N, 2, 3)"""
    return shaped(g, product(g, g.item), 2, 3)


MOVES = {
    "a transposition and back": (lambda g: [g(relax.op.exp(moved(g, moved(g, cube(g), 0, 2, 1), 0, 2, 1)))], ["reshape", "exp"]),
    "two transpositions": (
        lambda g: [moved(g, moved(g, shaped(g, cube(g), 1, 2, 3), 0, 2, 3, 1), 0, 2, 3, 1)],
        ["reshape", "permute_dims"],
    ),
    "reshapes in a row": (lambda g: [shaped(g, shaped(g, cube(g), 3, 2), 6, 1)], ["reshape"]),
    "a reshape and back": (lambda g: [g(relax.op.exp(shaped(g, cube(g), UNITS)))], ["exp"]),
    "an axis that comes and goes": (
        lambda g: [g(relax.op.exp(g(relax.op.squeeze(g(relax.op.expand_dims(product(g, g.item), [1])), [1]))))],
        ["exp"],
    ),
    "a transposition of an axis of one": (lambda g: [moved(g, shaped(g, cube(g), 1, 2, 3), 0, 2, 1, 3)], ["reshape"]),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_that_others_undo_or_complete_are_removed(name):
    body, expected = MOVES[name]
    check(RemoveMoves(), body, [f"{operator} N" for operator in ("matmul", *expected)])


def test_moves_that_are_needed_stay():
    assert_kept(RemoveMoves(), lambda g: [moved(g, cube(g), 0, 2, 1), g(relax.op.exp(shaped(g, g.item, 1, ITEM)))])


def spelled_out(g: Graph, x: relax.Var, *, axis: int = -1, scale: bool = True, offset: bool = True) -> relax.Var:
    apart = g(relax.op.subtract(x, g(relax.op.mean(x, [axis], keepdims=True))))
    variance = g(relax.op.mean(g(relax.op.multiply(apart, apart)), [axis], keepdims=True))
    y = g(relax.op.divide(apart, g(relax.op.sqrt(g(relax.op.add(variance, relax.const(np.float32(1e-3))))))))
    y = g(relax.op.multiply(y, vector(USER, 1))) if scale else y
    return g(relax.op.add(y, vector(USER, 2))) if offset else y


@pytest.mark.parametrize(("scale", "offset"), [(True, True), (True, False), (False, False)])
def test_a_layer_normalization_that_is_spelled_out_is_one_operator(scale, offset):
    after = check(
        FuseNorms(), lambda g: [spelled_out(g, g.take(g.user), scale=scale, offset=offset)], ["take N", "nn.layer_norm N"]
    )
    (call,) = [b.value for b in after["main"].body.blocks[0].bindings if str(b.value).find("layer_norm") >= 0]
    assert abs(float(call.attrs.epsilon) - 1e-3) < 1e-9


def test_the_form_of_keras_is_one_operator_too():
    def body(g: Graph):
        x = g.take(g.user)
        mean = g(relax.op.mean(x, [-1], keepdims=True))
        apart = g(relax.op.subtract(x, mean))
        variance = g(relax.op.mean(g(relax.op.multiply(apart, apart)), [-1], keepdims=True))
        root = g(relax.op.sqrt(g(relax.op.add(variance, relax.const(np.float32(1e-3))))))
        factor = g(relax.op.multiply(g(relax.op.divide(relax.const(np.float32(1)), root)), vector(USER, 1)))
        rest = g(relax.op.add(g(relax.op.multiply(g(relax.op.negative(mean)), factor)), vector(USER, 2)))
        return [g(relax.op.add(g(relax.op.multiply(x, factor)), rest))]

    check(FuseNorms(), body, ["take N", "nn.layer_norm N"])


def test_one_along_another_axis_stays():
    def body(g: Graph):
        x = shaped(g, g.take(g.user), 1, USER)
        return [spelled_out(g, x, axis=1)]

    assert_kept(FuseNorms(), body)
