"""One step: `python -m gpu_checks.steps BUNDLE JSON` prints its result as a line of JSON."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from gpu_checks import copies
from gpu_checks.requests import requests_of
from gpu_checks.times import measured

FEW = 8  # requests of which kernels are timed
FEATURES = "features"  # in the names of the kernels that look up


class Step:
    """What a step is asked for."""

    def __init__(self, bundle: pathlib.Path, asked: dict[str, Any]):
        self.bundle, self.asked = bundle, asked
        self.arch: str = asked["arch"]

    @property
    def artifact(self) -> pathlib.Path:
        """Its artifact."""
        return self.bundle / "artifacts" / self.arch / self.asked["artifact"]

    def machine(self) -> dict[str, Any]:
        """What all figures depend on."""
        import pyarrow

        import tvm_rank
        from tvm_rank.runtime.this_machine import processor

        versions = {"python": platform.python_version(), "numpy": np.__version__, "pyarrow": pyarrow.__version__}
        found = {"processor": processor(), "cores": os.cpu_count(), "kernel": platform.release(), "tvm-rank": tvm_rank.__version__}
        return {**found, **versions, **({} if self.arch == "cpu" else copies.device())}

    def check(self) -> dict[str, Any]:
        """`tvm-rank check`."""
        from tvm_rank import check

        return check(self.artifact).to_json()

    def copies(self) -> dict[str, Any]:
        """How fast memory is copied, in GB/s."""
        seconds = self.asked["seconds"]
        return copies.on_cpu(seconds) if self.arch == "cpu" else copies.on_gpu(seconds)

    def bench(self) -> dict[str, Any]:
        """Times of requests of each size, from raw fields on the host to scores on the host; on a GPU also without graphs."""
        engine, found = self._engine(), {}
        plain = None if self.arch == "cpu" else self._engine(cuda_graphs=False)
        for rows in self.asked["sizes"]:
            requests = requests_of(self.bundle, self.asked["requests"], rows)
            scores = [engine.rank(**request) for request in requests]
            for number, one in enumerate(scores):
                np.savez(pathlib.Path(self.asked["scratch"]) / f"{self.asked['artifact']}-{rows}-{number}.npz", **one)
            calls = [lambda request=request: engine.rank(**request) for request in requests]
            found[str(rows)] = measured(calls, self.asked["seconds"])
            if plain is not None:
                self._compare(engine, plain, requests)
                calls = [lambda request=request: plain.rank(**request) for request in requests]
                found[str(rows)]["without_graphs"] = measured(calls, self.asked["seconds"])
        return found

    def kernels(self) -> dict[str, Any]:
        """The kernels of a request one by one, and what lookups take of the bandwidth of copies."""
        from tvm_rank.runtime.profile import profile

        engine = self._engine()
        rows = self.asked["rows"]
        whole, kernels = profile(engine, requests_of(self.bundle, self.asked["requests"], rows)[:FEW])
        found = [{"name": one.name, "us": round(one.seconds * 1e6, 2), "calls": round(one.calls, 2)} for one in kernels]
        result: dict[str, Any] = {"rows": rows, "request_us": round(whole * 1e6, 2), "kernels": found}
        moved = json.loads((self.bundle / "bundle.json").read_text(encoding="utf-8"))["requests"][self.asked["artifact"]]
        if (each := moved.get("lookup_bytes")) and found:
            seconds = sum(one.seconds for one in kernels if FEATURES in one.name)
            result["lookup_gb_s"] = round(each * rows / seconds / 1e9, 2) if seconds else None
        return result

    @staticmethod
    def _compare(engine: Any, plain: Any, requests: list[dict[str, Any]]) -> None:
        """Raise RuntimeError unless a graph gives the same bits."""
        for request in requests:
            got, wanted = engine.rank(**request), plain.rank(**request)
            if wrong := [name for name in wanted if not np.array_equal(got[name], wanted[name], equal_nan=True)]:
                raise RuntimeError(f"graphs give other scores than kernels that are launched one by one: {', '.join(wrong)}")

    def _engine(self, **options: Any) -> Any:
        import tvm_rank

        return tvm_rank.load(self.artifact, **options)


def main() -> int:
    """Do the step that is asked for."""
    bundle, asked = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    step: Callable[[], dict[str, Any]] = getattr(Step(bundle, asked), asked["step"])
    print(json.dumps(step()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
