"""The engine as a contestant: an artifact, from raw fields to scores."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

from tvm_rank.bench.peers.requests import Request, read_requests
from tvm_rank.bench.peers.serve import Contestant

SPLIT_TURNS = 5


class Own(Contestant):
    """Opened with the `artifact`, `folder`, `requests`, `threads` and `tables`."""

    parts = ("all",)
    about = "features, lookups and the model, compiled together"

    def open(self, given: dict[str, Any]) -> None:
        import tvm_rank

        self._given = given
        self._engine = tvm_rank.load(given["artifact"], threads=given["threads"], tables=given["tables"])
        self.versions = {"tvm-rank": tvm_rank.__version__}

    def _requests(self, items: int) -> list[Request]:
        return read_requests(self._given["folder"], self._given["requests"], items)

    def calls(self, items: int, part: str) -> list[Callable[[], dict[str, Any]]]:
        assert part == "all", "the engine has no other part"
        return [partial(self._engine.rank, user=user, items=rows) for user, rows in self._requests(items)]

    def split(self, items: int) -> dict[str, Any]:
        """{"whole_us", "kernels": [{"name", "us", "calls", "flops", "bytes", "lookups_us"}]}; FLOPs and bytes as the artifact's plan counts
        them."""
        from tvm_rank.bench.lookups import parts_without
        from tvm_rank.plan.steps import Plan, total
        from tvm_rank.runtime.profile import profile

        path = pathlib.Path(self._given["artifact"]) / "plan.json"
        plan = Plan.from_json(path.read_text(encoding="utf-8"), str(path))
        asked = [{"user": user, "items": rows} for user, rows in self._requests(items)]
        whole, kernels = profile(self._engine, asked, SPLIT_TURNS)
        without, found = parts_without(path.parent, self._engine, asked), []
        for kernel in kernels:
            flops, moved = total([step for step in plan.kernels if step.operator == kernel.name], 1, items)
            one = {"name": kernel.name, "us": round(kernel.seconds * 1e6, 2), "calls": round(kernel.calls, 2)}
            lookups = round(kernel.seconds * 1e6 * max(0.0, 1 - without.get(kernel.name, 1.0)), 2)
            found.append({**one, "flops": flops, "bytes": moved, "lookups_us": lookups})
        return {"whole_us": round(whole * 1e6, 2), "kernels": found}
