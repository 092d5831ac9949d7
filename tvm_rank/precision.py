"""How precise the dense layers are, and the requests by which that is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.errors import RankError

DENSE = ("fp32", "bf16", "fp16", "tf32", "int8")
AUTO, FIRST, LAST = "auto", "first", "last"
REFERENCE = "the reference on the CPU"  # what scores samples of a model for a GPU (`tvm_rank.accuracy.by_reference`)
TOLERANCE = 0.005  # of "auto": no score may differ by more from those of fp32


@dataclass(frozen=True, kw_only=True)
class Precision:
    """dense: a name of DENSE for all dense layers, or "auto": the fastest within the tolerance · keep: layers that stay in fp32, by number
    in the order of the graph, or "first" and "last" · tolerance: how much a score of the samples may differ from that of fp32; None
    for no limit, and TOLERANCE with "auto". Raises RankError for anything else."""

    dense: str = "fp32"
    keep: tuple[int | str, ...] = ()
    tolerance: float | None = None

    def __post_init__(self):
        if self.dense not in (*DENSE, AUTO):
            raise RankError(f"precision {self.dense!r}: give {', '.join(DENSE)} or {AUTO}")
        wrong = [k for k in self.keep if k not in (FIRST, LAST) and (isinstance(k, bool) or not isinstance(k, int) or k < 0)]
        if wrong:
            raise RankError(f"Precision.keep has {wrong[0]!r}: give the number of a layer, {FIRST!r} or {LAST!r}")
        if self.tolerance is not None and not self.tolerance >= 0:
            raise RankError(f"Precision.tolerance is {self.tolerance!r}: give a difference of scores, at least 0")

    @classmethod
    def of(cls, given: object) -> Precision:
        """The value of `compile(precision=...)`: a name, or a Precision."""
        return given if isinstance(given, Precision) else cls(dense=str(given))


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Requests to judge by: the arguments of `Engine.rank`, and perhaps what came of each item.

    user, items, item_request, item_ids: as of `Engine.rank` · labels: (N,) numbers, above 0 for what a good score belongs to (a click).
    """

    user: Any = None
    items: Any = None
    item_request: Any = None
    item_ids: Any = None
    labels: Sequence[float] | None = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `Engine.rank`."""
        names = ("user", "items", "item_request", "item_ids")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
