"""The tree operators of ai.onnx.ml: ONNX Runtime's scores and labels, whatever the attributes say; and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from forests import MODES, forest, rows_for
from onnx import TensorProto, helper
from tree_models import attributes, compare, model, node

from te_schedules.trees import Mode
from tvm_rank.errors import ModelError
from tvm_rank.frontend.onnx_model import import_model

OLD_MODES = tuple(mode for mode in MODES if mode != Mode.MEMBER)
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")


def regressor(name: str, seed: int, *, targets: int = 1, base: bool = False, **attrs) -> onnx.NodeProto:
    ensemble = forest(seed, targets=targets, weights=None if targets > 1 else 1, modes=OLD_MODES, trees=12)
    values = [0.25 + k for k in range(targets)] if base else None
    return node("TreeEnsembleRegressor", [name], **attributes(ensemble, "target"), n_targets=targets, base_values=values, **attrs)


def test_regressors_of_every_aggregate_and_transform_give_the_scores_of_onnxruntime():
    cases = [("SUM", 1, True), ("AVERAGE", 1, False), ("MAX", 1, True), ("SUM", 3, True), ("MIN", 3, True)]
    nodes = [
        regressor(f"{kind}{targets}{base}", seed, targets=targets, base=base, aggregate_function=kind)
        for seed, (kind, targets, base) in enumerate(cases)
    ]
    nodes += [
        regressor(f"{transform}{targets}", 20 + targets, targets=targets, post_transform=transform)
        for transform, targets in itertools.product(TRANSFORMS, (1, 3))
    ]
    compare(model(nodes, features=4), rows_for(forest(0), 100))


def test_probit_gives_the_scores_of_onnxruntime():
    ensemble = forest(3, trees=1, modes=[Mode.LEQ])
    ensemble.weight[:] = np.linspace(0.02, 0.98, len(ensemble.weight))
    nodes = [node("TreeEnsembleRegressor", ["y"], **attributes(ensemble, "target"), n_targets=1, post_transform="PROBIT")]
    compare(model(nodes, features=4), rows_for(ensemble, 50), rtol=1e-4, atol=1e-5)


def classifier(name: str, seed: int, classes: int, weights: str, base: int, transform: str) -> onnx.NodeProto:
    """weights: `first`, all are for class 0; `second`, for class 1; `positive`, for class 0 and not negative; `each`, for every class."""
    ensemble = forest(seed, targets=classes if weights == "each" else 1, weights=1, modes=OLD_MODES, trees=9)
    if weights == "second":
        ensemble.target[:] = 1
    if weights == "positive":
        ensemble.weight[:] = np.abs(ensemble.weight) / 12
    values = [0.125 * (k + 1) for k in range(base)] or None
    labels = (
        [0, 1] if classes == 2 and weights == "each" else [5, 3, 8][:classes]
    )  # ONNX Runtime then gives 0 and 1, whatever they are
    outputs = [f"{name}_label", f"{name}_scores"]
    attrs = attributes(ensemble, "class")
    return node("TreeEnsembleClassifier", outputs, **attrs, classlabels_int64s=labels, base_values=values, post_transform=transform)


CLASSIFIERS = [
    *itertools.product([2], ["first", "positive"], [0, 1, 2], ["NONE", "LOGISTIC"]),
    *itertools.product([2], ["second"], [0, 1], ["NONE", "LOGISTIC", "SOFTMAX"]),
    *itertools.product([2], ["each"], [0, 1], ["NONE", "SOFTMAX"]),
    *itertools.product([3], ["each"], [0, 3], TRANSFORMS),
    (3, "first", 0, "NONE"),
]


def test_classifiers_give_the_labels_and_scores_of_onnxruntime():
    nodes = [classifier(f"c{k}", k, *case) for k, case in enumerate(CLASSIFIERS)]
    compare(model(nodes, features=4), rows_for(forest(0), 120))


def version_5(seed: int, outputs: list[str], **attrs) -> onnx.NodeProto:
    """A random ensemble in the attributes of TreeEnsemble."""
    ensemble = forest(seed, targets=2, leaves=9)
    inner = np.flatnonzero(ensemble.mode != Mode.LEAF)
    leaves = np.flatnonzero(ensemble.mode == Mode.LEAF)
    assert (ensemble.mode[ensemble.roots] != Mode.LEAF).all(), "a root of TreeEnsemble is an inner node"
    place = np.zeros(len(ensemble.mode), np.int64)
    place[inner], place[leaves] = np.arange(len(inner)), np.arange(len(leaves))
    is_leaf = ensemble.mode == Mode.LEAF
    whole = np.array([-1, 0, 1, 2, 3], np.float32)  # ONNX Runtime knows sets of whole numbers only, and no empty ones
    sets = [
        [*(set(ensemble.members[a:b].tolist()) & set(whole.tolist()) or {1.0}), np.nan]
        for a, b in itertools.pairwise(ensemble.member_start)
    ]
    members = [float(v) for k in inner for v in sets[k] if ensemble.mode[k] == Mode.MEMBER]
    sides = {"true": ensemble.yes[inner], "false": ensemble.no[inner]}
    lists = {
        "tree_roots": place[ensemble.roots],
        "nodes_featureids": ensemble.feature[inner],
        "nodes_missing_value_tracks_true": ensemble.missing_yes[inner],
        "leaf_targetids": ensemble.target[ensemble.weight_start[leaves]],
        **{f"nodes_{side}nodeids": place[child] for side, child in sides.items()},
        **{f"nodes_{side}leafs": is_leaf[child] for side, child in sides.items()},
    }
    tensors = {
        "nodes_splits": tensor(ensemble.value[inner]),
        "nodes_modes": tensor((ensemble.mode[inner] - 1).astype(np.uint8)),
        "leaf_weights": tensor(ensemble.weight[ensemble.weight_start[leaves]]),
        "membership_values": tensor(np.array(members, np.float32)),
    }
    found = {name: [int(v) for v in values] for name, values in lists.items()} | tensors | {"n_targets": 2} | attrs
    return node("TreeEnsemble", outputs, **found)


def tensor(values: np.ndarray) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(values)


SEED_5 = next(
    seed for seed in range(100) if (forest(seed, targets=2, leaves=9).mode[forest(seed, targets=2, leaves=9).roots] > 0).all()
)


def test_version_5_with_sets_gives_the_scores_of_onnxruntime():
    nodes = [version_5(SEED_5, [f"y{k}"], aggregate_function=k % 4, post_transform=k % 3) for k in range(6)]
    x = np.clip(np.rint(rows_for(forest(0), 100)), -5, 5)  # ONNX Runtime looks for the whole part of a number in a set
    compare(model(nodes, features=4, version=5), x)


GOOD = attributes(forest(1, trees=3, modes=[Mode.LEQ]), "target") | {"n_targets": 1}


def changed(name: str, place: int, value: object) -> dict:
    values = list(GOOD[name])
    values[place] = value
    return GOOD | {name: values}


FIRST_INNER = GOOD["nodes_modes"].index("BRANCH_LEQ")
HOSTILE = {
    "a-child-that-is-not-there": (
        changed("nodes_truenodeids", FIRST_INNER, 10**12),
        "nodes_truenodeids names node 1000000000000 of",
    ),
    "a-negative-child": (changed("nodes_falsenodeids", FIRST_INNER, -1), "nodes_falsenodeids names node -1 of tree"),
    "a-circle": (changed("nodes_truenodeids", FIRST_INNER, GOOD["nodes_nodeids"][FIRST_INNER]), "its nodes lead in a circle"),
    "a-feature-beyond-the-input": (changed("nodes_featureids", FIRST_INNER, 4), "a node asks for feature 4; the input has 4"),
    "a-negative-feature": (changed("nodes_featureids", FIRST_INNER, -7), "a node asks for feature -7; the input has 4"),
    "unequal-lengths": (GOOD | {"nodes_values": [1.0]}, "its lists have unequal lengths: nodes_treeids"),
    "unequal-weights": (GOOD | {"target_weights": [1.0]}, "its lists have unequal lengths: target_treeids"),
    "a-node-twice": (changed("nodes_nodeids", FIRST_INNER + 1, GOOD["nodes_nodeids"][FIRST_INNER]), "occurs twice"),
    "an-unknown-mode": (changed("nodes_modes", FIRST_INNER, "BRANCH_MAYBE"), "it has nodes of the mode 'BRANCH_MAYBE'; known are"),
    "nan": (changed("nodes_values", FIRST_INNER, float("nan")), "a node compares with NaN"),
    "an-infinite-weight": (changed("target_weights", 0, float("inf")), "it has weights or base values that are not finite"),
    "a-target-that-is-not-there": (changed("target_ids", 0, 3), "a leaf has a weight for target 3; there are 1"),
    "a-weight-of-no-node": (changed("target_nodeids", 0, 99), "target_nodeids names node 99 of tree"),
    "a-weight-of-an-inner-node": (changed("target_nodeids", 0, 0), "a node that is not a leaf has weights"),
    "too-many-targets": (GOOD | {"n_targets": 10**9}, "it has 1000000000 targets; 1 to 4096 are possible"),
    "no-nodes": ({k: v if isinstance(v, int) else [] for k, v in GOOD.items()}, "it has no nodes"),
    "an-unknown-aggregate": (GOOD | {"aggregate_function": "MEDIAN"}, "its aggregate_function is 'MEDIAN'; known are SUM"),
    "an-unknown-transform": (GOOD | {"post_transform": "CUBE"}, "its post_transform is 'CUBE'; known are NONE"),
}


def problem_of(given: onnx.ModelProto) -> str:
    with pytest.raises(ModelError) as caught:
        import_model(given)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_trees_are_refused_by_name(name: str):
    attrs, wanted = HOSTILE[name]
    problem = problem_of(model([node("TreeEnsembleRegressor", ["y"], **{k: v for k, v in attrs.items() if v != []})], features=4))
    assert problem.startswith("TreeEnsembleRegressor the node of 'y' cannot be imported: ")
    assert wanted in problem


def test_a_tree_that_is_too_deep_is_refused_in_good_time():
    count = 50_000
    modes = ["BRANCH_LEQ"] * count + ["LEAF"]
    numbers = list(range(count + 1))
    attrs = {
        "nodes_treeids": [0] * (count + 1),
        "nodes_nodeids": numbers,
        "nodes_featureids": [0] * (count + 1),
        "nodes_values": [0.0] * (count + 1),
        "nodes_modes": modes,
        "nodes_truenodeids": [k + 1 for k in range(count)] + [0],
        "nodes_falsenodeids": [count] * count + [0],
        "target_treeids": [0],
        "target_nodeids": [count],
        "target_ids": [0],
        "target_weights": [1.0],
    }
    assert "a tree is deeper than 4096 nodes" in problem_of(model([node("TreeEnsembleRegressor", ["y"], **attrs)], features=4))


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("nodes_truenodeids", 10**9, "nodes_truenodeids of node 0 is 1000000000, which is not there"),
        ("nodes_falsenodeids", -1, "nodes_falsenodeids of node 0 is -1, which is not there"),
        ("tree_roots", 10**9, "it has no trees, or roots that are not there"),
        ("leaf_targetids", 2, "a leaf has a weight for target 2; there are 2"),
    ],
)
def test_hostile_ensembles_of_version_5_are_refused_by_name(name: str, value: int, wanted: str):
    hostile = version_5(SEED_5, ["y"])
    next(a for a in hostile.attribute if a.name == name).ints[0] = value
    assert wanted in problem_of(model([hostile], features=4, version=5))


def test_sets_that_do_not_belong_to_the_nodes_are_refused():
    hostile = version_5(SEED_5, ["y"], membership_values=tensor(np.array([1, np.nan, 2], np.float32)))
    assert "its membership_values hold 1 sets that end in NaN" in problem_of(model([hostile], features=4, version=5))


def test_labels_of_text_are_refused_as_an_output_and_ignored_otherwise():
    ensemble = forest(1, targets=3, modes=OLD_MODES)
    attrs = attributes(ensemble, "class") | {"classlabels_strings": ["a", "b", "c"]}
    given = model([node("TreeEnsembleClassifier", ["label", "scores"], **attrs)], features=4)
    given.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    assert "its labels are texts, and an output of the model" in problem_of(given)
    del given.graph.output[0]
    compare(given, rows_for(ensemble, 20))


def test_inputs_of_another_form_are_refused():
    given = model([node("TreeEnsembleRegressor", ["y"], inputs=["wide"], **GOOD)], features=4)
    given.graph.node.insert(0, helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE))
    assert "its input is float64; export it with float32 inputs" in problem_of(given)


def test_all_nodes_that_are_refused_are_named_at_once():
    nodes = [node("TreeEnsembleRegressor", [f"y{k}"], **changed("nodes_featureids", FIRST_INNER, 4 + k)) for k in range(3)]
    good = node("TreeEnsembleRegressor", ["good"], **GOOD)
    with pytest.raises(ModelError) as caught:
        import_model(model([nodes[0], good, *nodes[1:]], features=4))
    assert caught.value.problems == tuple(
        f"TreeEnsembleRegressor the node of 'y{k}' cannot be imported: a node asks for feature {4 + k}; the input has 4"
        for k in range(3)
    )
