"""rank.tree_ensemble: the kernel against its reference, types, knobs, and what does not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tvm
from forests import MODES, forest, machine, rows_for
from tvm import relax, tirx

from te_schedules.trees import Aggregate, Ensemble, Mode, TreeKnobs, pack
from te_schedules.trees.op import forest_of, tree_ensemble
from tvm_rank.ops import tree_ensemble as op

ORDERED = [Mode.LEQ, Mode.LT, Mode.GTE, Mode.GT]
ENSEMBLES = {
    "every-mode": (forest(0), TreeKnobs()),
    "every-mode-rows-outside": (forest(1), TreeKnobs(order="rows", lanes=16, block_rows=32)),
    "masks": (forest(7, modes=ORDERED, leaves=100, trees=9, targets=2), TreeKnobs()),
    "one-node": (forest(2, trees=1, leaves=1), TreeKnobs(order="rows")),
    "a-target-for-each-tree": (forest(3, targets=3, modes=[Mode.LEQ]), TreeKnobs(order="trees", block_rows=8)),
    "lists-average": (forest(4, targets=3, weights=None, aggregate=Aggregate.AVERAGE), TreeKnobs()),
    "lists-minimum": (forest(5, targets=2, weights=None, aggregate=Aggregate.MIN), TreeKnobs(order="rows")),
    "threads": (forest(8, trees=9), TreeKnobs(threads=64)),
    "threads-lists": (forest(9, targets=3, weights=None, aggregate=Aggregate.AVERAGE), TreeKnobs(threads=32)),
    "maximum": (forest(6, weights=1, aggregate=Aggregate.MAX, trees=20), TreeKnobs()),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_scores_are_those_of_the_reference(name: str):
    ensemble, knobs = ENSEMBLES[name]
    main = machine(ensemble, knobs)["main"]
    for rows in (0, 1, 7, 8, 65, 130, 300):
        x = rows_for(ensemble, rows, seed=rows)
        np.testing.assert_allclose(main(tvm.runtime.tensor(x)).numpy(), op.reference(x, ensemble), rtol=1e-6, atol=1e-6)


def single(mode: Mode, value: float, *, missing: bool = False, members: tuple[float, ...] = ()) -> Ensemble:
    """One node: 1 where the answer is yes, 0 where it is no."""
    return Ensemble(
        features=1,
        targets=1,
        aggregate=Aggregate.SUM,
        mode=np.array([mode, Mode.LEAF, Mode.LEAF], np.int32),
        feature=np.zeros(3, np.int32),
        value=np.array([value, 0, 0], np.float32),
        yes=np.array([1, 1, 2]),
        no=np.array([2, 1, 2]),
        missing_yes=np.array([missing, False, False]),
        member_start=np.array([0, len(members), len(members), len(members)]),
        members=np.array(members, np.float32),
        roots=np.array([0]),
        weight_start=np.array([0, 0, 1, 2]),
        target=np.zeros(2, np.int32),
        weight=np.array([1, 0], np.float32),
        base=np.zeros(1),
    )


TINY = float(np.float32(1e-45))
X = np.array([-np.inf, -1, -TINY, -0.0, 0.0, TINY, 1, np.inf, np.nan], np.float32)


@pytest.mark.parametrize(
    ("mode", "value", "wanted"),
    [
        (Mode.LEQ, 0.0, [1, 1, 1, 1, 1, 0, 0, 0]),
        (Mode.LT, 0.0, [1, 1, 1, 0, 0, 0, 0, 0]),
        (Mode.GTE, 0.0, [0, 0, 0, 1, 1, 1, 1, 1]),
        (Mode.GT, 0.0, [0, 0, 0, 0, 0, 1, 1, 1]),
        (Mode.EQ, 0.0, [0, 0, 0, 1, 1, 0, 0, 0]),
        (Mode.NEQ, 0.0, [1, 1, 1, 0, 0, 1, 1, 1]),
        (Mode.LT, -np.inf, [0] * 8),
        (Mode.GTE, -np.inf, [1] * 8),
        (Mode.EQ, -np.inf, [1] + [0] * 7),
        (Mode.LEQ, np.inf, [1] * 8),
        (Mode.GT, np.inf, [0] * 8),
        (Mode.EQ, np.inf, [0] * 7 + [1]),
    ],
)
def test_reference_compares_as_ieee_has_it_and_nan_goes_where_the_node_says(mode: Mode, value: float, wanted: list[int]):
    for missing in (False, True):
        found = op.reference(X[:, None], single(mode, value, missing=missing))[:, 0].tolist()
        assert found == [*wanted, int(missing or mode == Mode.NEQ)]


def test_reference_of_a_set_and_of_an_empty_one():
    assert op.reference(X[:, None], single(Mode.MEMBER, 0, members=(0.0, np.inf)))[:, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 0]
    assert op.reference(X[:, None], single(Mode.MEMBER, 0, missing=True))[:, 0].tolist() == [0] * 8 + [1]


def test_edges_of_every_mode_in_the_kernel():
    parts = [single(mode, value, missing=missing, members=(-np.inf, 0.0, 1.0)) for mode in MODES for value in (-np.inf, 0.0, np.inf)
             for missing in (False, True)]  # fmt: skip
    whole = _side_by_side([*parts, single(Mode.MEMBER, 0, missing=True), single(Mode.MEMBER, 0)])
    found = machine(whole)["main"](tvm.runtime.tensor(X[:, None])).numpy()
    np.testing.assert_array_equal(found, op.reference(X[:, None], whole))


def _side_by_side(parts: list[Ensemble]) -> Ensemble:
    """Each ensemble of one tree as a tree with a target of its own."""
    nodes, members = (np.cumsum([0, *sizes]) for sizes in ([3] * len(parts), [len(p.members) for p in parts]))
    joined = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("mode", "feature", "value", "missing_yes", "members", "weight")
    }
    moved = {
        name: np.concatenate([getattr(p, name) + at for p, at in zip(parts, nodes, strict=False)])
        for name in ("yes", "no", "roots")
    }
    starts = np.concatenate([p.member_start[:-1] + at for p, at in zip(parts, members, strict=False)] + [members[-1:]])
    return dataclasses.replace(
        parts[0],
        targets=len(parts),
        **joined,
        **moved,
        member_start=starts,
        weight_start=np.concatenate([np.array([0, 0, 1]) + 2 * k for k in range(len(parts))] + [[2 * len(parts)]]),
        target=np.repeat(np.arange(len(parts)), 2),
        base=np.zeros(len(parts)),
    )


def test_a_node_with_two_parents_is_laid_out_once():
    chain = forest(0, trees=1, leaves=1)
    count = 60
    mode = np.array([Mode.EQ] * count + [Mode.LEAF] * 2, np.int32)
    places = np.arange(count + 2)
    shared = dataclasses.replace(
        chain,
        mode=mode,
        feature=np.zeros(count + 2, np.int32),
        value=np.arange(count + 2).astype(np.float32),
        yes=np.where(places < count, count, places),
        no=np.where(places < count - 1, places + 1, np.where(places < count, count + 1, places)),
        missing_yes=np.zeros(count + 2, bool),
        member_start=np.zeros(count + 3, np.int64),
        members=np.zeros(0, np.float32),
        roots=np.array([0]),
        weight_start=np.array([0] * (count + 1) + [1, 2]),
        target=np.zeros(2, np.int32),
        weight=np.array([1, 0], np.float32),
    )
    packed = pack(shared)
    assert len(packed.records) <= 4 * count + 1
    assert packed.trees[0, 1] == 2 * count
    x = np.array([[0], [59], [60], [0.5]], np.float32).repeat(4, axis=1)
    assert op.leaves(x, shared)[:, 0].tolist() == [count, count, count + 1, count + 1]


def test_masks_are_made_where_they_fit():
    assert pack(forest(7, modes=ORDERED, leaves=100, trees=9)).masks is not None
    assert pack(forest(7, modes=ORDERED, leaves=100, trees=3)).masks is None  # fewer trees than columns
    assert pack(forest(7, modes=[Mode.EQ])).masks is None  # the node behind an equality has two parents
    assert pack(forest(7, modes=ORDERED, aggregate=Aggregate.MAX)).masks is None
    assert pack(forest(7, modes=ORDERED, leaves=1000, trees=9)).masks is None
    many = forest(9, modes=ORDERED, leaves=100, trees=30, features=1)
    assert pack(dataclasses.replace(many, value=np.arange(len(many.value)).astype(np.float32))).masks is None


def call(x: relax.Var) -> relax.Call:
    return tree_ensemble(x, forest(0))


def test_types_follow_the_rows_and_other_inputs_are_refused():
    rows = tirx.Var("N", "int64")
    builder = relax.BlockBuilder()
    found = builder.normalize(call(relax.Var("x", relax.TensorType([rows, 4], "float32"))))
    assert found.ty.shape.values[0].same_as(rows)
    assert int(found.ty.shape.values[1]) == 1
    assert forest_of(found).name == forest_of(builder.normalize(call(found.args[0]))).name
    for wrong in (relax.TensorType([rows, 4], "float64"), relax.TensorType([rows, 4, 1], "float32"), relax.TensorType(ndim=2)):
        with pytest.raises((TypeError, tvm.error.InternalError), match=r"rank.tree_ensemble: x is"):
            builder.normalize(call(relax.Var("x", wrong)))


@pytest.mark.parametrize("wrong", [{"order": "leaves"}, {"lanes": 5}, {"block_rows": 0}])
def test_knobs_that_no_kernel_can_have_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=f"TreeKnobs.{next(iter(wrong))} is .*; it must be"):
        TreeKnobs(**wrong)
