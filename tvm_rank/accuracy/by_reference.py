"""Scores that a GPU will give, computed by the CPU of this machine: the same model with dense layers that round as the GPU's do.

Inputs and weights of a layer are rounded by the definition (`tvm_rank.ops.reduced_dense`); sums are float32 in another order, and
features are the CPU's kernels, whose values are those of the GPU. An item store is made and read by the CPU too, with what is computed
ahead, so that samples name items by their ids, and layers are those that are left for a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relay_passes.reduce_dense import Reduction
from tvm_rank.schedule import Schedule
from tvm_rank.target import HOST, ResolvedTarget, resolve


def options_for_cpu(passes: Mapping[str, Any], reductions: Mapping[int, Reduction]) -> tuple[ResolvedTarget, Mapping[str, Any]]:
    """The target and the arguments of `pipeline.run` by which this CPU gets the scores of a GPU with these layers reduced; passes: the
    arguments for the GPU."""
    schedule = Schedule(without=passes["schedule"].without)  # the other knobs are of the GPU's kernels
    return resolve(HOST), {**passes, "schedule": schedule, "reductions": reductions, "as_gpu": True}
