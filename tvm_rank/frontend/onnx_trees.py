"""The attributes of ONNX's tree operators as an `Ensemble`, after everything was checked: a file may say anything.

Refused by name: lists of unequal lengths, nodes that occur twice, children that are not there, cycles, trees deeper than MAX_DEPTH, features
that the input does not have, thresholds that are no numbers, weights that are not finite or belong to no leaf.
A node may have several parents: LightGBM's sets of categories are exported as chains of equalities that lead to one node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from te_schedules.trees import Aggregate, Ensemble, Mode
from tvm_rank.frontend.onnx_values import Attributes, NotConvertible

MAX_DEPTH = 4096  # questions from a root to a leaf
MAX_TARGETS = 4096
MODES = {
    b"LEAF": Mode.LEAF,
    b"BRANCH_LEQ": Mode.LEQ,
    b"BRANCH_LT": Mode.LT,
    b"BRANCH_GTE": Mode.GTE,
    b"BRANCH_GT": Mode.GT,
    b"BRANCH_EQ": Mode.EQ,
    b"BRANCH_NEQ": Mode.NEQ,
}
MODES_5 = (Mode.LEQ, Mode.LT, Mode.GTE, Mode.GT, Mode.EQ, Mode.NEQ, Mode.MEMBER)
SIDES = ("true", "false")
AGGREGATES_5 = (Aggregate.AVERAGE, Aggregate.SUM, Aggregate.MIN, Aggregate.MAX)


def numbers(attrs: Attributes, name: str, dtype: type) -> np.ndarray:
    """A list of numbers, also where it is given as `<name>_as_tensor` or as a tensor; empty if it is left out."""
    value = attrs.get(name, attrs.get(f"{name}_as_tensor", ()))
    if isinstance(value, TensorProto):
        if value.data_type == TensorProto.DOUBLE:
            raise NotConvertible(f"its {name} are float64; export it with float32 inputs")
        value = numpy_helper.to_array(value).reshape(-1)
    return np.asarray(value, dtype)


def read_trees(attrs: Attributes, features: int, *, prefix: str, targets: int, base: np.ndarray, aggregate: str) -> Ensemble:
    """TreeEnsembleRegressor (prefix `target`) or TreeEnsembleClassifier (`class`): nodes are named by tree and number."""
    names = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    columns: dict[str, Any] = {f"nodes_{name}": numbers(attrs, f"nodes_{name}", np.int64) for name in names}
    columns |= {"nodes_values": numbers(attrs, "nodes_values", np.float32), "nodes_modes": attrs.get("nodes_modes", ())}
    missing = _missing(attrs, len(columns["nodes_modes"]))
    _same_lengths(columns | {"nodes_missing_value_tracks_true": missing})
    if aggregate not in Aggregate.__members__:
        raise NotConvertible(f"its aggregate_function is {aggregate!r}; known are {', '.join(Aggregate.__members__)}")
    tree, number, feature, *children, value, modes = columns.values()
    mode = _modes(modes)
    place, inner = _Places(tree, number), mode != Mode.LEAF
    yes, no = (
        place.of(tree, np.where(inner, child, number), f"nodes_{k}nodeids") for k, child in zip(SIDES, children, strict=True)
    )
    weights = {f"{prefix}_{name}": numbers(attrs, f"{prefix}_{name}", np.int64) for name in ("treeids", "nodeids", "ids")}
    weight = numbers(attrs, f"{prefix}_weights", np.float32)
    _same_lengths(weights | {f"{prefix}_weights": weight})
    trees, nodes, target = weights.values()
    of = place.of(trees, nodes, f"{prefix}_nodeids")
    order = np.argsort(of, kind="stable")
    return checked(
        Ensemble(
            features=features,
            targets=targets,
            aggregate=Aggregate[aggregate],
            mode=mode,
            feature=np.where(inner, feature, 0),
            value=np.where(inner, value, np.float32(0)),
            yes=yes,
            no=no,
            missing_yes=missing,
            member_start=np.zeros(len(tree) + 1, np.int64),
            members=np.zeros(0, np.float32),
            roots=place.roots,
            weight_start=np.searchsorted(of[order], np.arange(len(tree) + 1)),
            target=target[order],
            weight=weight[order],
            base=base,
        )
    )


def read_trees_5(attrs: Attributes, features: int) -> Ensemble:
    """TreeEnsemble: inner nodes and leaves are two lists. In the ensemble the leaves stand behind the nodes."""
    names = ("featureids", "modes", *(f"{side}{kind}" for side in SIDES for kind in ("nodeids", "leafs")))
    lists = {f"nodes_{name}": numbers(attrs, f"nodes_{name}", np.int64) for name in names}
    lists["nodes_splits"] = numbers(attrs, "nodes_splits", np.float32)
    modes = lists["nodes_modes"]
    missing = _missing(attrs, len(modes))
    _same_lengths(lists | {"nodes_missing_value_tracks_true": missing})
    target, weight = numbers(attrs, "leaf_targetids", np.int64), numbers(attrs, "leaf_weights", np.float32)
    _same_lengths({"leaf_targetids": target, "leaf_weights": weight})
    if (bad := _first(~_inside(modes, len(MODES_5)))) is not None:
        raise NotConvertible(f"node {bad} has the mode {modes[bad]}; known are 0 to {len(MODES_5) - 1}")
    aggregate, targets = attrs.get("aggregate_function", 1), int(attrs.get("n_targets", 1))
    if aggregate not in range(len(AGGREGATES_5)):
        raise NotConvertible(f"its aggregate_function is {aggregate}; known are 0 to {len(AGGREGATES_5) - 1}")
    nodes, leaves = len(modes), len(target)
    mode = np.array([MODES_5[m] for m in modes] + [Mode.LEAF] * leaves, np.int32)
    starts, members = _members(numbers(attrs, "membership_values", np.float32), mode == Mode.MEMBER)
    value = np.append(lists["nodes_splits"], np.zeros(leaves, np.float32))
    yes, no = (_children(lists, side, leaves) for side in SIDES)
    return checked(
        Ensemble(
            features=features,
            targets=targets,
            aggregate=AGGREGATES_5[aggregate],
            mode=mode,
            feature=np.append(lists["nodes_featureids"], np.zeros(leaves, np.int64)),
            value=np.where(mode == Mode.MEMBER, np.float32(0), value),
            yes=yes,
            no=no,
            missing_yes=np.append(missing, np.zeros(leaves, bool)),
            member_start=starts,
            members=members,
            roots=numbers(attrs, "tree_roots", np.int64),
            weight_start=np.concatenate([np.zeros(nodes, np.int64), np.arange(leaves + 1)]),
            target=target,
            weight=weight,
            base=np.zeros(max(0, min(targets, MAX_TARGETS))),
        )
    )


def _modes(names: tuple[bytes, ...]) -> np.ndarray:
    if unknown := sorted({name.decode("utf-8", "replace") for name in names if name not in MODES}):
        raise NotConvertible(f"it has nodes of the mode {unknown[0]!r}; known are {', '.join(m.decode() for m in MODES)}")
    return np.array([MODES[name] for name in names], np.int32)


def _missing(attrs: Attributes, nodes: int) -> np.ndarray:
    """Where NaN is a yes; nowhere if the file does not say."""
    found = numbers(attrs, "nodes_missing_value_tracks_true", np.int64) != 0
    return found if len(found) else np.zeros(nodes, bool)


def _children(lists: dict[str, np.ndarray], side: str, leaves: int) -> np.ndarray:
    """The next node of every node on one side; leaves lead to themselves."""
    given, is_leaf = lists[f"nodes_{side}nodeids"], lists[f"nodes_{side}leafs"] != 0
    nodes = len(given)
    if (bad := _first((given < 0) | (given >= np.where(is_leaf, leaves, nodes)))) is not None:
        raise NotConvertible(f"nodes_{side}nodeids of node {bad} is {given[bad]}, which is not there")
    return np.append(np.where(is_leaf, given + nodes, given), np.arange(nodes, nodes + leaves))


def _members(values: np.ndarray, has_set: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the set of each node begins, and the sets one after the other; in the file a NaN ends each."""
    ends = np.flatnonzero(np.isnan(values))
    if len(ends) != has_set.sum() or (len(values) and (not len(ends) or ends[-1] != len(values) - 1)):
        raise NotConvertible(f"its membership_values hold {len(ends)} sets that end in NaN; {has_set.sum()} nodes ask for one")
    sizes = np.zeros(len(has_set), np.int64)
    sizes[has_set] = np.diff(ends, prepend=-1) - 1
    return np.concatenate([[0], np.cumsum(sizes)]), values[~np.isnan(values)]


class _Places:
    """The place in the list of the node of a tree with a number."""

    def __init__(self, tree: np.ndarray, number: np.ndarray):
        if not len(tree):
            raise NotConvertible("it has no nodes")
        self.order = np.lexsort((number, tree))
        self.tree, self.number = tree[self.order], number[self.order]
        same = (np.diff(self.tree) == 0) & (np.diff(self.number) == 0)
        if (bad := _first(same)) is not None:
            raise NotConvertible(f"node {self.number[bad]} of tree {self.tree[bad]} occurs twice")
        self.roots = np.flatnonzero(np.diff(tree, prepend=tree[0] - 1))
        if len(self.roots) != len(np.unique(tree)):
            raise NotConvertible("the nodes of a tree are not next to each other")

    def of(self, tree: np.ndarray, number: np.ndarray, name: str) -> np.ndarray:
        keys = [(np.concatenate([a, b]).astype(np.int64)) for a, b in ((self.tree, tree), (self.number, number))]
        _, codes = np.unique(np.stack(keys), axis=1, return_inverse=True)
        codes = codes.reshape(-1)
        known = np.full(int(codes.max()) + 1, -1, np.int64)
        known[codes[: len(self.tree)]] = self.order
        found = known[codes[len(self.tree) :]]
        if (bad := _first(found < 0)) is not None:
            raise NotConvertible(f"{name} names node {number[bad]} of tree {tree[bad]}, which is not there")
        return found


def checked(ensemble: Ensemble) -> Ensemble:
    """The ensemble, if everything in it leads somewhere and every walk ends."""
    nodes = len(ensemble.mode)
    inner = ensemble.mode != Mode.LEAF
    if not 0 < ensemble.targets <= MAX_TARGETS:
        raise NotConvertible(f"it has {ensemble.targets} targets; 1 to {MAX_TARGETS} are possible")
    if not len(ensemble.roots) or not _inside(ensemble.roots, nodes).all():
        raise NotConvertible("it has no trees, or roots that are not there")
    if (bad := _first(inner & ~_inside(ensemble.feature, ensemble.features))) is not None:
        raise NotConvertible(f"a node asks for feature {ensemble.feature[bad]}; the input has {ensemble.features}")
    if np.isnan(ensemble.value[inner]).any():
        raise NotConvertible("a node compares with NaN; every answer would be no: train it again without such a split")
    if (bad := _first(~_inside(ensemble.target, ensemble.targets))) is not None:
        raise NotConvertible(f"a leaf has a weight for target {ensemble.target[bad]}; there are {ensemble.targets}")
    if not np.isfinite(ensemble.weight).all() or not np.isfinite(ensemble.base).all():
        raise NotConvertible("it has weights or base values that are not finite")
    if np.diff(ensemble.weight_start)[inner].any():
        raise NotConvertible("a node that is not a leaf has weights")
    _check_ends(ensemble, inner)
    return ensemble


def _check_ends(ensemble: Ensemble, inner: np.ndarray) -> None:
    """Take away the nodes without a parent again and again: what is never without one stands in a cycle."""
    parents = np.bincount(np.concatenate([ensemble.yes[inner], ensemble.no[inner]]).astype(np.int64), minlength=len(inner))
    open_, left = np.flatnonzero(parents == 0), len(inner)
    for _ in range(MAX_DEPTH + 1):
        if not len(open_):
            break
        left -= len(open_)
        asked = open_[inner[open_]]
        children = np.concatenate([ensemble.yes[asked], ensemble.no[asked]]).astype(np.int64)
        np.subtract.at(parents, children, 1)
        open_ = np.unique(children[parents[children] == 0])
    else:
        raise NotConvertible(f"a tree is deeper than {MAX_DEPTH} nodes")
    if left:
        raise NotConvertible("its nodes lead in a circle: a walk would never end")


def _inside(values: np.ndarray, count: int) -> np.ndarray:
    return (values >= 0) & (values < count)


def _first(condition: np.ndarray) -> Any:
    found = np.flatnonzero(condition)
    return int(found[0]) if len(found) else None


def _same_lengths(lists: dict[str, Any]) -> None:
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise NotConvertible(f"its lists have unequal lengths: {', '.join(f'{name} {n}' for name, n in lengths.items())}")
