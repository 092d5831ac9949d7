"""Schedules: every combination of passes and every value of a knob gives the scores of NumPy."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from two_columns import DIM, ROWS, TABLE, WEIGHT, bucket, config, number, product

import tvm_rank
from te_schedules.column_group.kernel import Knobs
from te_schedules.dense import AVX2
from te_schedules.dense.tiles import GENERIC
from tvm_rank.artifact import store
from tvm_rank.cli.main import main
from tvm_rank.schedule import PASSES, Schedule

REQUESTS, ITEMS = 3, 70
SCHEDULES = {
    # the model has no attention: tests/passes/test_split_pairs.py has every combination of the passes over one that has
    **{
        "without-" + "-".join(names): Schedule(without=names)
        for count in (1, 2)
        for names in itertools.combinations(("hoist_request_side", "split_dense"), count)
    },
    "item-major": Schedule(features=Knobs(block_rows=1)),
    "feature-major": Schedule(features=Knobs(block_rows=4096)),
    "short-queue": Schedule(features=Knobs(queue_ids=1, prefetch=False)),
    "odd-blocks": Schedule(features=Knobs(block_rows=7, queue_ids=13), without=PASSES),
    "narrow-tiles": Schedule(dense=GENERIC),
    "tiles-of-one-kernel": Schedule(kernels={f"dense_{DIM}x3_none_rows": GENERIC, "dense_9x9_relu": AVX2}),
    "deep-parts": Schedule(dense=dataclasses.replace(AVX2, depth_block=16, chunk_bytes=4096)),
}
USER = pa.table({"age": pa.array([0.25, -1.0, 3.5], pa.float32())})
LEVELS = [[(k * j) % ROWS for j in range(k % 5)] for k in range(ITEMS)]
ITEM_TABLE = pa.table({"levels": pa.array(LEVELS, pa.list_(pa.int64()))})


def expected(index: np.ndarray) -> np.ndarray:
    """The scores (N, 3) by NumPy: the age of the request, the mean embedding of the levels (level 0 where there is none)."""
    pooled = np.stack([TABLE[levels or [0]].mean(axis=0) for levels in LEVELS])
    return np.hstack([USER["age"].to_numpy()[index, None], pooled]) @ WEIGHT


def saved(schedule: Schedule, folder: pathlib.Path) -> pathlib.Path:
    features = config(number("age", "user:age"), bucket("levels", "item:levels", combiner="mean"))
    made = tvm_rank.compile(
        features=features, model=product(["age", "levels"], [1, DIM]), tables={"levels": TABLE}, tuning=schedule
    )
    made.save(folder / "artifact")
    return folder / "artifact"


@pytest.mark.filterwarnings("ignore:the tuning has kernels")
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_scores_do_not_depend_on_the_schedule(schedule: Schedule, tmp_path: pathlib.Path):
    engine = tvm_rank.load(saved(schedule, tmp_path))
    one = engine.rank(user=USER.slice(1, 1), items=ITEM_TABLE)["score"]
    np.testing.assert_allclose(one, expected(np.full(ITEMS, 1)), rtol=0, atol=1e-5)
    index = np.arange(ITEMS) % REQUESTS
    every = engine.rank(user=USER, items=ITEM_TABLE, item_request=index)["score"]
    np.testing.assert_allclose(every, expected(index), rtol=0, atol=1e-5)


def test_the_tiles_of_a_kernel_are_those_of_the_schedule(tmp_path: pathlib.Path):
    with pytest.warns(UserWarning, match="does not have: dense_9x9_relu$"):
        manifest = store.read(saved(SCHEDULES["tiles-of-one-kernel"], tmp_path))
    lanes = {str(kernel["name"]): kernel["layer"]["tiles"]["lanes"] for kernel in manifest.kernels if "layer" in kernel}
    assert lanes[f"dense_{DIM}x3_none_rows"] == GENERIC.lanes
    assert lanes["dense_1x3_none"] == manifest.schedule["dense"]["lanes"]


def test_inspect_names_the_decisions(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    path = saved(Schedule(features=Knobs(block_rows=8), without=("split_dense",)), tmp_path)
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert (
        "features: block_rows 8, queue_ids 120, prefetch True, intermediates cached, grain_rows 0, threads 0, lanes 0; dense: lanes "
        in text
    )
    assert "; without split_dense" in text


@pytest.mark.parametrize(
    "values",
    [{"block_rows": 0}, {"threads": 1025}, {"queue_ids": 121}, {"queue_ids": True}, {"prefetch": 1}, {"intermediates": "lost"}],
    ids=str,
)
def test_knobs_that_no_kernel_can_have_are_refused(values: dict):
    with pytest.raises(ValueError, match=next(iter(values))):
        Knobs(**values)


def test_a_pass_that_cannot_be_left_out_is_refused():
    with pytest.raises(ValueError, match="lower_columns; the passes that can be left out are common_features, hoist_request_side"):
        Schedule(without=("lower_columns",))
