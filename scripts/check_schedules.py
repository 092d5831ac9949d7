#!/usr/bin/env python3
"""Check that no schedule and no item store changes a score: every combination of the passes, every value of every knob, every store.

For each model of the zoo that is named, requests one by one (R = 1) and all in one call (R = 8) are compared with NumPy, and with ONNX
Runtime where it is installed, over the same features. A line for each combination; status 1 when a score differs by more than 1e-5.

    python scripts/check_schedules.py                                  all of it, for wide_deep and din: some twenty minutes
    python scripts/check_schedules.py --models din --parts store

What is checked, by part:
  passes   every subset of `tvm_rank.schedule.PASSES` is left out
  knobs    every value of `Knobs.space()` and of the dense tiles, with all passes and with none
  store    text and int64 keys x both layouts x all values of `materialize`
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

import tvm_rank
from te_schedules.column_group.kernel import Knobs
from te_schedules.dense.tiles import AVX2, GENERIC
from tvm_rank import zoo
from tvm_rank.items.prepare import CHOICES
from tvm_rank.schedule import PASSES, Schedule
from tvm_rank.zoo.reference import model_inputs
from tvm_rank.zoo.workload import REQUEST_COLUMN, request_of

REQUESTS, ITEMS, TOLERANCE = 8, 20, 1e-5
SIZES = {"dim": 4, "hidden": (16, 8), "length": 4, "rows": 30}
PARTS = ("passes", "knobs", "store")
Options = Mapping[str, Any]


def main() -> int:
    """Check, print, and say how many combinations are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["wide_deep", "din"], help="models of the zoo of the shop")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is checked (default: all)")
    args = parser.parse_args()
    print(f"{REQUESTS} requests of {ITEMS} items, load {os.getloadavg()[0]:.2f}, tvm_rank {tvm_rank.__version__}", flush=True)
    wrong = count = 0
    with tempfile.TemporaryDirectory() as folder:
        for model in args.models:
            checked = Checked(model, pathlib.Path(folder) / model)
            for part in args.parts:
                for name, options in combinations(part, checked.catalogues):
                    started, count = time.perf_counter(), count + 1
                    difference = checked.difference(options)
                    wrong += not difference <= TOLERANCE
                    mark = "ok" if difference <= TOLERANCE else "WRONG"
                    print(f"{mark:5} {model} {part} {name}: {difference:.1e}, {time.perf_counter() - started:.1f} s", flush=True)
    print(f"{count} combinations, {wrong} wrong")
    return 1 if wrong else 0


def combinations(part: str, catalogues: Mapping[str, pa.Table]) -> Iterator[tuple[str, Options]]:
    """(name, arguments of compile) of a part."""
    if part == "passes":
        for count in range(len(PASSES) + 1):
            for without in itertools.combinations(PASSES, count):
                yield f"without {', '.join(without) or 'nothing'}", {"tuning": Schedule(without=without)}
    elif part == "knobs":
        for without in ((), PASSES):
            end = " without passes" if without else ""
            for knob, values in Knobs.space().items():
                for value in values:
                    yield f"{knob} {value}{end}", {"tuning": Schedule(features=Knobs(**{knob: value}), without=without)}
            deep = dataclasses.replace(AVX2, depth_block=16, chunk_bytes=4096)
            for name, tiles in (("generic", GENERIC), ("avx2", AVX2), ("deep", deep)):
                yield f"tiles {name}{end}", {"tuning": Schedule(dense=tiles, without=without)}
    else:
        for (key, table), layout, level in itertools.product(catalogues.items(), ("columns", "rows"), CHOICES):
            yield f"{key} keys, {layout}, {level}", {
                "items": table, "item_key": "key", "store_layout": layout, "materialize": level,
            }  # fmt: skip


class Checked:
    """A model of the zoo with its scores by NumPy (and ONNX Runtime). `catalogues`: its items with a key, by the type of the key."""

    def __init__(self, model: str, folder: pathlib.Path):
        self.workload = zoo.build(model, folder, requests=REQUESTS, items=ITEMS, **SIZES)
        self.items, self.user = self.workload.read_items(), self.workload.read_user()
        self.of = request_of(self.items)
        self.wanted = [zoo.outputs(self.workload)]
        self.folder, self.number = folder, 0
        fields = self.items.drop_columns([REQUEST_COLUMN])
        keys = np.arange(len(self.items), dtype=np.int64) * 7919
        self.keys = {"text": pa.array([f"sku {key}" for key in keys]), "int64": pa.array(keys)}
        self.catalogues = {kind: fields.append_column("key", values) for kind, values in self.keys.items()}
        if (other := self._by_onnxruntime()) is not None:
            self.wanted.append(other)

    def _by_onnxruntime(self) -> Mapping[str, np.ndarray] | None:
        try:
            import onnxruntime
        except ImportError:
            return None
        session = onnxruntime.InferenceSession(str(self.workload.model), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, model_inputs(self.workload)), strict=True))

    def difference(self, options: Options) -> float:
        """The largest difference of a score under these options to what is wanted."""
        self.number += 1
        path, given = self.folder / f"artifact {self.number}", self.workload
        tvm_rank.compile(features=given.features, model=given.model, tables=given.tables, **options).save(path)
        engine = tvm_rank.load(path)
        kind = None if "items" not in options else "text" if pa.types.is_string(options["items"]["key"].type) else "int64"
        items = self.items if kind is None else pa.table({"key": self.keys[kind]})
        every = engine.rank(user=self.user, items=items, item_request=self.of)
        worst = self._worst(every, np.arange(len(self.of)))
        for request in range(REQUESTS):
            rows = np.flatnonzero(self.of == request)
            one = engine.rank(user=self.user.slice(request, 1), items=items.take(pa.array(rows)).combine_chunks())
            worst = max(worst, self._worst(one, rows))
        return worst

    def _worst(self, got: Mapping[str, np.ndarray], rows: np.ndarray) -> float:
        """The largest difference in these rows; NaN differs from everything."""
        found = [np.abs(got[name] - values[rows]).max() for wanted in self.wanted for name, values in wanted.items()]
        return float("inf") if any(np.isnan(found)) else float(max(found))


if __name__ == "__main__":
    sys.exit(main())
