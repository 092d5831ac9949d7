"""One loop for the operators of a fused kernel: FuseTIR leaves a loop and an array in memory for each.

    for i: a[i] = x[i] * s              ->          for i: y[i] = x[i] * s + b[i]
    for i: y[i] = a[i] + b[i]

Operators of cheap arithmetic are put into those that read them. What holds an exponential stays an array: its expression is long, and
would be repeated wherever it is read. Kernels of ours (op_pattern 8) are left alone, and whatever TVM refuses to inline.
"""

from __future__ import annotations

import re

import tvm
from tvm import s_tir, tirx
from tvm.s_tir.schedule import ScheduleError

# TVM's names of blocks, less what makes them unique
_ARITHMETIC = ("add", "subtract", "multiply", "divide", "negative", "maximum", "minimum", "cast", "where")
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_PLACES = ("reshape", "expand_dims", "squeeze", "transpose", "strided_slice", "broadcast_to", "take")
_CHEAP = frozenset(f"T_{name}" for name in (*_ARITHMETIC, *_COMPARISONS, *_PLACES))
_UNIQUE = re.compile(r"(_\d+)?$")
OPAQUE = 8


@tvm.transform.module_pass(opt_level=0, name="rank.InlineFused")
class InlineFused:
    """See the module's text."""

    def transform_module(self, mod: tvm.IRModule, _ctx) -> tvm.IRModule:
        """The module with its fused kernels in fewer loops."""
        changed = {}
        for name, func in mod.functions_items():
            if isinstance(func, tirx.PrimFunc) and name.name_hint.startswith("fused_") and _is_open(func):
                changed[name] = _inlined(func)
        if not changed:
            return mod
        mod = mod.clone()
        for name, func in changed.items():
            mod[name] = func
        return mod


def _is_open(func: tirx.PrimFunc) -> bool:
    return func.attrs is None or int(func.attrs.get("op_pattern", 0)) != OPAQUE


def _inlined(func: tirx.PrimFunc) -> tirx.PrimFunc:
    schedule = s_tir.Schedule(tvm.IRModule({"main": func}))
    root = schedule.get_sblock("root")
    for block in schedule.get_child_blocks(root)[:-1]:
        if _is_cheap(schedule.get(block)):
            try:
                schedule.compute_inline(block)
            except ScheduleError:
                continue
    return schedule.mod["main"]


def _is_cheap(block: s_tir.SBlock) -> bool:
    return _UNIQUE.sub("", block.name_hint) in _CHEAP
