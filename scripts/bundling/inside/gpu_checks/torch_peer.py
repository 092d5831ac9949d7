"""rank-bench by PyTorch, eager, on the same device, from ids: hashing and bucketizing are done before the clock starts.

A request's ids and numbers are one pinned array, which is copied at once; scores are copied back. float32, as PyTorch does it by default.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gpu_checks.places import places
from gpu_checks.times import measured

PARTS = "torch.npz"
FOLDER = "rank_bench"


class Peer:
    """The model with its tables and layers on the device."""

    def __init__(self, torch: Any, bundle: pathlib.Path, arch: str):
        self.torch, self.device = torch, torch.device("cpu" if arch == "cpu" else "cuda")
        self.known = np.load(bundle / "requests" / FOLDER / PARTS)
        self.parts = json.loads(str(self.known["parts"]))
        artifact = bundle / "artifacts" / arch / FOLDER
        (stack,) = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))["stacks"]
        rows = np.fromfile(artifact / stack["file"], np.float32).reshape(stack["rows"], stack["dim"])
        self.tables = {
            name: self._placed(rows[entry["first_row"] : entry["first_row"] + entry["rows"]])
            for name, entry in stack["tables"].items()
        }
        count = sum(name.startswith("weight") for name in self.known.files)
        self.layers = [tuple(self._placed(self.known[f"{part}{k}"]) for part in ("weight", "bias")) for k in range(count)]

    def _placed(self, array: np.ndarray) -> Any:
        return self.torch.from_numpy(array.copy()).to(self.device)

    def request(self, number: int, chosen: np.ndarray) -> tuple[Any, list[tuple[slice, slice | None]]]:
        """(ids, lengths and numbers of a request with these items, in one array on the host; where in it each feature's are)."""
        values, places, end = [], [], 0

        def add(array: np.ndarray) -> slice:
            nonlocal end
            values.append(np.ascontiguousarray(array, np.int32))
            end += len(array)
            return slice(end - len(array), end)

        for k, part in enumerate(self.parts):
            ids, lengths = self.known[f"ids{k}"], self.known[f"lengths{k}"] if part["ragged"] else None
            row = np.array([number]) if part["request"] else chosen
            if lengths is None:
                places.append((add(ids.view(np.int32)[row]), None))
                continue
            starts = np.cumsum(lengths) - lengths
            places.append((add(np.concatenate([ids[starts[r] : starts[r] + lengths[r]] for r in row])), add(lengths[row])))
        packed = self.torch.from_numpy(np.concatenate(values))
        return (packed.pin_memory() if self.device.type == "cuda" else packed), places

    def rank(self, packed: Any, places: list[tuple[slice, slice | None]], count: int) -> np.ndarray:
        """The scores."""
        torch = self.torch
        there = packed.to(self.device, non_blocking=True)
        inputs = []
        for part, (at, of) in zip(self.parts, places, strict=True):
            ids = there[at]
            if not part["table"]:
                value = ids.view(torch.float32)[:, None]
            elif of is None:
                value = torch.index_select(self.tables[part["table"]], 0, ids)
            else:
                ends = torch.cumsum(there[of], 0, dtype=torch.int32)
                value = torch.nn.functional.embedding_bag(ids, self.tables[part["table"]], ends - there[of], mode="mean")
            inputs.append(value.expand(count, -1))
        x = torch.cat(inputs, dim=1)
        for k, (weight, bias) in enumerate(self.layers):
            x = torch.addmm(bias, x, weight)
            if k + 1 < len(self.layers):
                x = torch.relu(x)
        return np.asarray(torch.sigmoid(x).cpu().numpy())


def main() -> int:
    """Measure each size, and compare with the scores that the engine has left."""
    bundle, asked = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
    try:
        import torch
    except ImportError as error:
        print(json.dumps({"missing": f"PyTorch ({error})"}))
        return 0
    if asked["arch"] != "cpu" and not torch.cuda.is_available():
        print(json.dumps({"missing": f"PyTorch {torch.__version__} sees no GPU"}))
        return 0
    found: dict[str, Any] = {"version": torch.__version__, "sizes": {}}
    with torch.inference_mode():
        peer = Peer(torch, bundle, asked["arch"])
        for rows in asked["sizes"]:
            made = [(*peer.request(number, chosen), rows) for number, chosen in places(peer.known["of"], rows)]
            differences = [_difference(peer.rank(*one), asked["scratch"], rows, number) for number, one in enumerate(made)]
            calls: list[Callable[[], Any]] = [partial(peer.rank, *one) for one in made]
            found["sizes"][str(rows)] = {**measured(calls, asked["seconds"]), "largest_difference": max(differences)}
    print(json.dumps(found))
    return 0


def _difference(scores: np.ndarray, scratch: str, rows: int, number: int) -> float:
    with np.load(pathlib.Path(scratch) / f"{FOLDER}-{rows}-{number}.npz") as kept:
        (wanted,) = (kept[name] for name in kept.files)
    return float(np.abs(wanted.reshape(-1) - scores.reshape(-1)).max())


if __name__ == "__main__":
    sys.exit(main())
