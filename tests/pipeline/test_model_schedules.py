"""Models of the zoo under every pass alone and values of all knobs, and over item stores: NumPy's scores, and ONNX Runtime's.

`scripts/check_schedules.py` does the same for the full product.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

import tvm_rank
from te_schedules.column_group.kernel import Knobs
from te_schedules.dense.tiles import GENERIC
from tvm_rank import zoo
from tvm_rank.schedule import PASSES, Schedule
from tvm_rank.zoo.reference import model_inputs
from tvm_rank.zoo.workload import REQUEST_COLUMN, request_of

POOLED, ATTENTION = "wide_deep", "din"  # pooled embeddings with crosses, and attention over clicks
REQUESTS, ITEMS, TOLERANCE = 8, 9, 1e-5
SIZES = {"dim": 4, "hidden": (8,), "length": 3, "rows": 20}
KNOBS = [  # each value of `Knobs.space` that changes the code
    Knobs(block_rows=1, queue_ids=1, prefetch=False),
    Knobs(block_rows=16, grain_rows=128, intermediates="recomputed"),
    Knobs(block_rows=4096, queue_ids=8),
    Knobs(block_rows=32, queue_ids=16, grain_rows=1024),
]
SCHEDULES = {
    f"only-{name}": Schedule(without=tuple(other for other in PASSES if other != name), features=knobs)
    for name, knobs in zip(PASSES, KNOBS, strict=True)
} | {"none": Schedule(without=PASSES, dense=GENERIC)}
# a pass is tried on the model that it has most to do with: each costs a compilation
CASES = [
    (POOLED, "only-common_features"),
    (POOLED, "only-split_dense"),
    (POOLED, "none"),
    (ATTENTION, "only-hoist_request_side"),
    (ATTENTION, "only-split_pairs"),
]
STORES = {
    "text-columns-ids": ("text", "columns", "ids"),
    "text-rows-none": ("text", "rows", "none"),  # all fields are in records
    "int64-rows-auto": ("int64", "rows", "auto"),
}


class Given:
    """A workload, and what its scores should be."""

    def __init__(self, workload: zoo.Workload):
        self.workload = workload
        self.user, self.items = workload.read_user(), workload.read_items()
        self.of = request_of(self.items)
        session = onnxruntime.InferenceSession(str(workload.model), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        self.onnxruntime = dict(zip(names, session.run(None, model_inputs(workload)), strict=True))
        self.numpy = zoo.outputs(workload)

    def engine(self, folder: pathlib.Path, **options) -> tvm_rank.Engine:
        given = {"features": self.workload.features, "model": self.workload.model, "tables": self.workload.tables}
        tvm_rank.compile(**given, **options).save(folder / "artifact")
        return tvm_rank.load(folder / "artifact")

    def check(self, engine: tvm_rank.Engine, items: pa.Table) -> None:
        """All requests in one call, and the first ones alone."""
        self._same(engine.rank(user=self.user, items=items, item_request=self.of), np.arange(len(self.of)))
        for request in range(2):
            rows = np.flatnonzero(self.of == request)
            one = engine.rank(user=self.user.slice(request, 1), items=items.take(pa.array(rows)).combine_chunks())
            self._same(one, rows)

    def _same(self, got: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        for wanted in (self.numpy, self.onnxruntime):
            for name, values in wanted.items():
                np.testing.assert_allclose(got[name], values[rows], rtol=0, atol=TOLERANCE)
                assert np.ptp(values) > 0.01


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory):
    @functools.cache
    def of(name: str) -> Given:
        return Given(zoo.build(name, tmp_path_factory.mktemp(name), requests=REQUESTS, items=ITEMS, **SIZES))

    return of


@pytest.mark.parametrize(("name", "schedule"), CASES)
def test_each_pass_alone_and_each_knob_scores_as_numpy_and_onnxruntime_do(given, name: str, schedule: str, tmp_path):
    model = given(name)
    model.check(model.engine(tmp_path, tuning=SCHEDULES[schedule]), model.items)


@pytest.mark.parametrize(("keys", "layout", "level"), STORES.values(), ids=STORES)
def test_attention_over_an_item_store_scores_as_numpy_does(given, keys: str, layout: str, level: str, tmp_path):
    model = given(ATTENTION)
    numbers = np.arange(len(model.items), dtype=np.int64) * 7919 - 5
    ids = pa.array([f"sku {number}" for number in numbers] if keys == "text" else numbers)
    catalogue = model.items.drop_columns([REQUEST_COLUMN]).append_column("key", ids)
    engine = model.engine(tmp_path, items=catalogue, item_key="key", store_layout=layout, materialize=level)
    assert engine.manifest.store[0].materialized == ("dense" if level == "auto" else level)
    model.check(engine, pa.table({"key": ids}))


def test_the_space_of_the_knobs_has_the_defaults_and_only_what_a_kernel_can_have():
    for knob, values in Knobs.space().items():
        assert getattr(Knobs(), knob) in values
        for value in values:
            assert getattr(Knobs(**{knob: value}), knob) == value
