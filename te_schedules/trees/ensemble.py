"""What an ensemble of decision trees is: the nodes of all trees in arrays, as `tvm_rank.ops.tree_ensemble.reference` walks them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np


class Mode(IntEnum):
    """What a node asks of its feature; a leaf asks nothing."""

    LEAF = 0
    LEQ = 1
    LT = 2
    GTE = 3
    GT = 4
    EQ = 5
    NEQ = 6
    MEMBER = 7


class Aggregate(Enum):
    """What becomes of the weights that a row meets for one target."""

    SUM = "SUM"
    AVERAGE = "AVERAGE"  # the sum over the number of trees, whether or not they have a weight for the target
    MIN = "MIN"
    MAX = "MAX"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """Trees whose nodes stand in one list; every walk from a root ends in a leaf. A node may be the child of several nodes of its tree.

    mode, feature, yes, no int32 (nodes,): a `Mode`, the column of x, and the next node where the answer is yes or no · value float32
    (nodes,), what the feature is compared with; no NaN · missing_yes bool (nodes,): NaN is a yes · member_start int64 (nodes + 1,) into
    members float32: the set of a MEMBER node · roots int32 (trees,) · weight_start int64 (nodes + 1,) into target int32 and weight
    float32: what a leaf adds, finite · base float64 (targets,), added at the
    end where a leaf of the row had a weight.
    """

    features: int
    targets: int
    aggregate: Aggregate
    mode: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    missing_yes: np.ndarray
    member_start: np.ndarray
    members: np.ndarray
    roots: np.ndarray
    weight_start: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    base: np.ndarray
