"""Scan and Loop as the copies of their body that they run: exporters write layers of their own over a sequence in this way.

The number of steps must be known: the fixed length of a sequence, a constant, or an axis of fixed size. A Loop whose condition depends on
the data is refused, since nothing is known of its shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from tvm import relax, tirx

from tvm_rank.frontend.onnx_steps import MAX_STEPS, stacked, step, steps_along
from tvm_rank.frontend.onnx_values import Attributes, Inputs, NotConvertible, array_of, constant, is_constant, shape_of

Body = Callable[[onnx.GraphProto, Sequence[Any]], list[Any]]  # what a body gives for its inputs


def convert_scan(inputs: Inputs, attrs: Attributes, body: Body) -> Any:
    """The last states, then what each step gives, stacked."""
    graph, scanned = attrs["body"], int(attrs["num_scan_inputs"])
    values = [inputs[k] for k in range(len(graph.input))]
    states, sequences = values[: len(values) - scanned], values[len(values) - scanned :]
    given = len(graph.output) - len(states)
    axes = [axis % len(shape_of(x) or [1]) for axis, x in zip(_per(attrs, "scan_input_axes", scanned), sequences, strict=True)]
    backwards = _per(attrs, "scan_input_directions", scanned)
    count = min(steps_along(x, axis) for x, axis in zip(sequences, axes, strict=True))
    collected: list[list[Any]] = [[] for _ in range(given)]
    for t in range(count):
        elements = [step(x, axis, count - 1 - t if back else t) for x, axis, back in zip(sequences, axes, backwards, strict=True)]
        found = body(graph, [*states, *elements])
        states = found[: len(states)]
        for k, value in enumerate(found[len(states) :]):
            collected[k].append(value)
    into, reverse = _per(attrs, "scan_output_axes", given), _per(attrs, "scan_output_directions", given)
    stacks = [_stack(part[::-1] if back else part, axis) for part, axis, back in zip(collected, into, reverse, strict=True)]
    return relax.Tuple([*states, *stacks])


def convert_loop(inputs: Inputs, attrs: Attributes, body: Body) -> Any:
    """The same for a counted loop."""
    graph = attrs["body"]
    limit, condition, *states = [inputs[k] for k in range(len(graph.input))]
    count = _trips(limit)
    given = len(graph.output) - 1 - len(states)
    collected: list[list[Any]] = [[] for _ in range(given)]
    condition = constant(np.array(True)) if condition is None else condition
    t = 0
    while _holds(condition) and (count is None or t < count):
        if t == MAX_STEPS:
            raise NotConvertible(f"it runs for more than {MAX_STEPS} steps, and each is compiled by itself; use shorter sequences")
        condition, *found = body(graph, [constant(np.array(t, np.int64)), condition, *states])
        states, t = found[: len(states)], t + 1
        for k, value in enumerate(found[len(states) :]):
            collected[k].append(value)
    if given and not t:
        raise NotConvertible("it never runs, and its results would have no rows")
    return relax.Tuple([*states, *(_stack(part, 0) for part in collected)])


def _per(attrs: Attributes, name: str, count: int) -> list[int]:
    return [int(value) for value in attrs.get(name, ())] or [0] * count


def _stack(values: list[Any], axis: int) -> Any:
    ranks = shape_of(values[0])
    if ranks is None:
        raise NotConvertible("what a step gives has no known shape")
    return stacked(values, axis % (len(ranks) + 1))


def _trips(limit: Any) -> int | None:
    """How often the loop runs at most; None for a limit that says nothing."""
    if limit is None:
        return None
    if is_constant(limit):
        return min(int(array_of(limit).reshape(-1)[0]), 2**31)
    values = list(limit.values) if isinstance(limit, relax.ShapeExpr) else [limit]
    if len(values) == 1 and isinstance(values[0], tirx.IntImm):
        return int(values[0])
    raise NotConvertible("how often it runs depends on the data; export it with sequences of a fixed length")


def _holds(condition: Any) -> bool:
    if not is_constant(condition):
        raise NotConvertible("it ends by a condition on the data; export it as a loop over a fixed length, with a mask")
    return bool(np.all(array_of(condition)))
