"""Memory of tensors whose extents are known when they run: which tensors lie in one place, one behind the other in time."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx

TYPICAL = 256  # rows, by which memory is dealt; every number of rows is right


class NotKnown(Exception):
    """A form that is left to the virtual machine."""


@dataclass(eq=False)
class Memory:
    """What tensors lie in. word: its place in the words, None for what is dealt here, `size` bytes from call `first` to call `last`."""

    word: int | None = None
    size: Any = None
    is_kept: bool = False
    first: int = 0
    last: int = 0


_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    tirx.Add: operator.add,
    tirx.Sub: operator.sub,
    tirx.Mul: operator.mul,
    tirx.FloorDiv: operator.floordiv,
}


def evaluated(extent: Any, dims: Mapping[tirx.Var, Any]) -> Any:
    """An extent with its dimensions set, to numbers or expressions. Raises NotKnown."""
    if isinstance(extent, (int, tirx.IntImm)):
        return int(extent)
    if extent in dims:
        return dims[extent]
    if type(extent) in _OPERATORS:
        return _OPERATORS[type(extent)](evaluated(extent.a, dims), evaluated(extent.b, dims))
    raise NotKnown


def dealt(made: Sequence[Memory], dims: Iterable[tirx.Var]) -> list[list[Memory]]:
    """Which memory lies in one place, one behind the other in time: that of the nearest size which is free again, or a new place."""
    typical = dict.fromkeys(dims, TYPICAL)
    sizes = {memory: max(1, evaluated(memory.size, typical)) for memory in made}
    places: list[list[Memory]] = []
    for memory in made:
        free = [place for place in places if not (memory.is_kept or place[0].is_kept) and place[-1].last < memory.first]
        if free:
            min(free, key=lambda place: abs(math.log(max(sizes[other] for other in place) / sizes[memory]))).append(memory)
        else:
            places.append([memory])
    return places
