"""The plan of a graph as values: what `plan.json` of an artifact holds. Does not need TVM."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

from tvm_rank.artifact.typed_json import decode
from tvm_rank.errors import ArtifactError


@dataclass(frozen=True, kw_only=True)
class Amount:
    """A number that grows with the R rows of the request side and the N items: constant + requests * R + items * N."""

    constant: int = 0
    requests: int = 0
    items: int = 0

    def at(self, requests: int, items: int) -> int:
        """The number for so many rows."""
        return self.constant + self.requests * requests + self.items * items


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operator or kernel.

    side: constant, request, item or crossed (`relay_passes/sides.py`) · rows: rows of its result · flops: floating-point operations,
    a multiplication and an addition are two · bytes: read and written, with one table row for each row of a lookup · inputs: the
    numbers of the steps that it reads.
    """

    name: str
    operator: str
    side: str
    rows: Amount
    flops: Amount
    bytes: Amount
    inputs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of the graph as it came in, after the passes, and the calls of kernels that they became."""

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    kernels: tuple[Step, ...] = ()

    def to_json(self) -> str:
        """The text of plan.json."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str, where: str) -> Plan:
        """Read plan.json; raises ArtifactError when it is none, or a step reads one behind it."""
        try:
            plan: Plan = decode(cls, json.loads(text))
            for steps in (plan.before, plan.after, plan.kernels):
                if any(not 0 <= read < number for number, step in enumerate(steps) for read in step.inputs):
                    raise ValueError("a step reads a later one")
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{where}: damaged ({error}); compile the artifact again") from error
        return plan


def total(steps: Sequence[Step], requests: int, items: int) -> tuple[int, int]:
    """(FLOPs, bytes) of a request."""
    return sum(s.flops.at(requests, items) for s in steps), sum(s.bytes.at(requests, items) for s in steps)
