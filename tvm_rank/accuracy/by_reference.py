"""Scores that a GPU will give, computed by the CPU of this machine: the same model with dense layers that round as the GPU's do.

Inputs and weights of a layer are rounded by the definition (`tvm_rank.ops.reduced_dense`); sums are float32 in another order, and
features are the CPU's kernels, whose values are those of the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm

from relay_passes.reduce_dense import Reduction
from tvm_rank import pipeline
from tvm_rank.errors import TargetError
from tvm_rank.schedule import Schedule
from tvm_rank.target import HOST, ResolvedTarget, resolve

_SPLIT = ("split_pairs", "split_dense")  # passes that a GPU does not have: its layers are whole


def compiled_for_cpu(
    mod: tvm.IRModule, target: ResolvedTarget, passes: Mapping[str, Any], reductions: Mapping[int, Reduction]
) -> tuple[tvm.IRModule, ResolvedTarget, Mapping[str, Any]]:
    """The module, the target and the arguments of `pipeline.run` by which this CPU gets the scores of `target`, a GPU, with these layers
    reduced; passes: the arguments for the GPU. Raises TargetError for a model with an item store."""
    if passes.get("key_form") is not None:
        raise TargetError(f"target {target.name!r}: samples do not judge a model with an item store; leave out one of them")
    without = tuple({*passes["schedule"].without, *_SPLIT})
    return pipeline.rounded(mod, target.tvm_target, passes, reductions), resolve(HOST), {"schedule": Schedule(without=without)}
