"""TreeEnsembleRegressor, TreeEnsembleClassifier and TreeEnsemble (ai.onnx.ml): `rank.tree_ensemble`, and what ONNX Runtime does behind it.

ONNX leaves open what base values, binary classes and post transforms mean together. Here is what ONNX Runtime 1.31 does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from te_schedules.trees import Ensemble, Mode
from te_schedules.trees.op import tree_ensemble
from te_schedules.trees.pack import TooLarge
from tvm_rank.frontend.onnx_steps import emit
from tvm_rank.frontend.onnx_trees import MAX_TARGETS, numbers, read_trees, read_trees_5
from tvm_rank.frontend.onnx_values import Attributes, Inputs, NotConvertible, constant, shape_of

TRANSFORMS_5 = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


def convert_regressor(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """Base values are added when there is one for each target. With a single target ONNX Runtime applies no transform but PROBIT."""
    x, features = rows_of(inputs[0])
    targets, base = int(attrs.get("n_targets", 1)), numbers(attrs, "base_values", np.float64)
    base = base if len(base) == targets else np.zeros(max(0, min(targets, MAX_TARGETS)))
    aggregate = text(attrs, "aggregate_function", "SUM")
    ensemble = read_trees(attrs, features, prefix="target", targets=targets, base=base, aggregate=aggregate)
    return _regressed(_scores(x, ensemble), targets, transform_of(attrs))


def convert_ensemble(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """TreeEnsemble of version 5."""
    x, features = rows_of(inputs[0])
    ensemble = read_trees_5(attrs, features)
    transform = attrs.get("post_transform", 0)
    if transform not in range(len(TRANSFORMS_5)):
        raise NotConvertible(f"its post_transform is {transform}; known are 0 to {len(TRANSFORMS_5) - 1}")
    return _regressed(_scores(x, ensemble), ensemble.targets, TRANSFORMS_5[transform])


def _regressed(scores: Any, targets: int, transform: str) -> Any:
    return transformed(scores, transform if targets > 1 or transform == "PROBIT" else "NONE")


def convert_classifier(inputs: Inputs, attrs: Attributes, _opset: int) -> Any:
    """(labels (N,), scores (N, classes))"""
    x, features = rows_of(inputs[0])
    labels, classes = labels_of(attrs, "classlabels_int64s", "classlabels_strings")
    base = numbers(attrs, "base_values", np.float64)
    if classes < 2 or len(base) > classes:
        raise NotConvertible(f"it has {classes} classes and {len(base)} base values; two or more classes are compiled")
    ensemble = read_trees(attrs, features, prefix="class", targets=classes, base=np.zeros(classes), aggregate="SUM")
    given = _Given(ensemble)
    if classes > 2:
        return _of_many(_with_base(x, ensemble, base), given, base, labels, transform_of(attrs))
    return _of_two(x, ensemble, given, base, labels, transform_of(attrs))


class _Given:
    """Which classes leaves have weights for: in some leaf, and in every leaf of some tree."""

    def __init__(self, ensemble: Ensemble):
        self.somewhere = set(ensemble.target.tolist())
        tree = np.searchsorted(ensemble.roots, np.arange(len(ensemble.mode)), side="right") - 1  # its nodes are together
        leaves = np.bincount(tree[ensemble.mode == Mode.LEAF], minlength=len(ensemble.roots))
        node = np.repeat(np.arange(len(ensemble.mode)), np.diff(ensemble.weight_start))
        self.always = set()
        for target in self.somewhere:
            with_weight = np.unique(node[ensemble.target == target])
            if (np.bincount(tree[with_weight], minlength=len(ensemble.roots)) == leaves).any():
                self.always.add(target)
        self.are_positive = bool((ensemble.weight >= 0).all())


def _of_many(scores: Any, given: _Given, base: np.ndarray, labels: Any, transform: str) -> Any:
    """The label of the largest score, the first one of equals, among the classes that have any weight or base value."""
    known = given.somewhere | set(range(len(base)))
    if not given.are_positive and known - given.always - set(range(len(base))):
        raise NotConvertible("whether a class takes part depends on the row: some leaves have no weight for it")
    classes = int(scores.ty.shape.values[1])
    compared = scores
    if len(known) < classes:
        low = np.where([k in known for k in range(classes)], np.float32(0), np.float32(-np.inf)).astype(np.float32)
        compared = emit(relax.op.add(scores, constant(low)))
    return relax.Tuple([emit(labels(emit(relax.op.argmax(compared, axis=1)))), transformed(scores, transform)])


def _of_two(x: Any, ensemble: Ensemble, given: _Given, base: np.ndarray, labels: Any, transform: str) -> Any:
    """Two classes; with weights for one of them its score decides, by 0.5 when all weights are positive, else by 0."""
    if given.somewhere - given.always or not given.somewhere:
        raise NotConvertible("whether a class has a score depends on the row: some leaves have no weight for it")
    has_second, is_binary = 1 in given.somewhere, len(given.somewhere) == 1
    if has_second and len(base) == 2:
        raise NotConvertible("it has two base values, and weights for the second of two classes, which ONNX does not define")
    scores = _with_base(x, ensemble, base)
    decides = _column(scores, 1 if has_second else 0)
    threshold = 0.5 if is_binary and given.are_positive else 0.0
    is_second = emit(relax.op.greater(decides, relax.const(threshold, "float32")))
    label = emit(labels(emit(relax.op.squeeze(emit(relax.op.astype(is_second, "int64")), axis=[1]))))
    if has_second or len(base) == 2:
        return relax.Tuple([label, transformed(scores, transform)])
    return relax.Tuple([label, completed(decides, transform, is_probability=given.are_positive)])


def completed(score: Any, transform: str, *, is_probability: bool = False) -> Any:
    """The scores of both classes when there is one (N, 1)."""
    if transform == "PROBIT":
        raise NotConvertible("PROBIT of one score for two classes is not defined")
    if transform == "LOGISTIC":
        parts = [emit(relax.op.sigmoid(emit(relax.op.negative(score)))), emit(relax.op.sigmoid(score))]
    elif is_probability:
        parts = [emit(relax.op.subtract(relax.const(1.0, "float32"), score)), score]
    else:
        parts = [emit(relax.op.negative(score)), score]
    return emit(relax.op.concat(parts, axis=1))


def _with_base(x: Any, ensemble: Ensemble, base: np.ndarray) -> Any:
    """The scores, with base values for the first classes."""
    ensemble.base[: len(base)] = base
    return _scores(x, ensemble)


def _scores(x: Any, ensemble: Ensemble) -> Any:
    try:
        return emit(tree_ensemble(x, ensemble))
    except TooLarge as error:
        raise NotConvertible(f"{error}, more than a node can name; train it with fewer leaves") from error


def rows_of(x: Any) -> tuple[Any, int]:
    """The input (N, features) as float32, and how many features there are."""
    dims = shape_of(x)
    if dims is None or len(dims) != 2:
        raise NotConvertible("its input must be (N, features)")
    dtype = str(x.ty.dtype)
    if dtype == "float64":
        raise NotConvertible("its input is float64; export it with float32 inputs")
    return (x if dtype == "float32" else emit(relax.op.astype(x, "float32"))), int(dims[1])


def text(attrs: Attributes, name: str, default: str) -> str:
    """An attribute of text."""
    value = attrs.get(name, default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def transform_of(attrs: Attributes) -> str:
    """The name of the post transform."""
    found = text(attrs, "post_transform", "NONE")
    if found not in TRANSFORMS_5:
        raise NotConvertible(f"its post_transform is {found!r}; known are {', '.join(TRANSFORMS_5)}")
    return found


def transformed(scores: Any, transform: str) -> Any:
    """Scores (N, targets) float32 behind a post transform."""
    one = relax.const(1.0, "float32")
    if transform == "LOGISTIC":
        return emit(relax.op.sigmoid(scores))
    if transform == "SOFTMAX":
        return emit(relax.op.nn.softmax(scores, axis=1))
    if transform == "SOFTMAX_ZERO":  # zeros stay near zero and are not in the sum
        largest = emit(relax.op.max(scores, axis=1, keepdims=True))
        is_number = emit(relax.op.greater(emit(relax.op.abs(scores)), relax.const(1e-7, "float32")))
        powers = emit(relax.op.exp(emit(relax.op.subtract(scores, largest))))
        total = emit(relax.op.sum(emit(relax.op.where(is_number, powers, relax.const(0.0, "float32"))), axis=1, keepdims=True))
        small = emit(relax.op.multiply(scores, emit(relax.op.exp(emit(relax.op.negative(largest))))))
        return emit(relax.op.divide(emit(relax.op.where(is_number, powers, small)), total))
    if transform == "PROBIT":  # sqrt(2) * the inverse of erf, by Winitzki's formula
        x = emit(relax.op.subtract(emit(relax.op.add(scores, scores)), one))
        product = emit(relax.op.multiply(emit(relax.op.subtract(one, x)), emit(relax.op.add(one, x))))
        log = emit(relax.op.log(product))
        v = _scaled(log, 0.5, 2 / (3.14159 * 0.147))
        under = emit(relax.op.subtract(emit(relax.op.multiply(v, v)), _scaled(log, 1 / 0.147, 0.0)))
        size = emit(relax.op.sqrt(emit(relax.op.subtract(emit(relax.op.sqrt(under)), v))))
        is_negative = emit(relax.op.less(x, relax.const(0.0, "float32")))
        return _scaled(emit(relax.op.where(is_negative, emit(relax.op.negative(size)), size)), 1.41421356, 0.0)
    return scores


def _scaled(x: Any, factor: float, offset: float) -> Any:
    product = emit(relax.op.multiply(x, relax.const(factor, "float32")))
    return emit(relax.op.add(product, relax.const(offset, "float32"))) if offset else product


def labels_of(attrs: Attributes, integers: str, texts: str) -> tuple[Any, int]:
    """(a function from the numbers of classes (N,) int64 to their labels, how many there are)."""
    known = [int(label) for label in attrs.get(integers, ())]
    count = len(known) or len(attrs.get(texts, ()))
    if known == list(range(len(known))):  # also where the labels are texts, see `Importer`
        return (lambda number: number), count
    return (lambda number: relax.op.take(constant(np.array(known, np.int64)), number, axis=0, mode="clip")), count


def _column(x: Any, k: int) -> Any:
    return emit(relax.op.strided_slice(x, axes=[1], begin=[k], end=[k + 1]))
