"""Kernels take arrays that begin at any element: NumPy aligns to 16 bytes, TVM would take 64 for granted and die of a signal."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import tvm

from te_schedules.column_group import kernel, ragged
from te_schedules.lower import PIPELINE
from tvm_rank.config.load import load_config
from tvm_rank.lowering import column_of
from tvm_rank.lowering.fields import FieldTable
from tvm_rank.runtime.collected import PLACES, STREAMS
from tvm_rank.runtime.columns import Table
from tvm_rank.target import resolve

OPTIMIZED = True  # see tests/conftest.py

ROWS, FEATURES = 64, 8
FG = {
    "features": [
        {"feature_name": f"{kind}{k}", "feature_type": f"{kind}_feature", "expression": "item:c", **keys}
        for kind, keys in (("id", {"num_buckets": 99}), ("raw", {}))
        for k in range(FEATURES)
    ]
}


@pytest.fixture(scope="module")
def built():
    config, fields = load_config(FG), FieldTable()
    columns = [column_of(feature, fields, config.hash_function) for feature in config.features]
    module, layouts = ragged.module(columns, {}, len(fields.uses), kernel.Knobs())
    return tvm.tirx.build(module, target=resolve("cpu").tvm_target, pipeline=PIPELINE), layouts, fields.uses


def moved(array: np.ndarray, elements: int) -> np.ndarray:
    """A copy that begins `elements` behind a multiple of 64 bytes."""
    room = np.zeros(array.nbytes + 64 + elements * array.itemsize, np.uint8)
    first = -room.ctypes.data % 64 + elements * array.itemsize
    copy = room[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("elements", [0, 1, 3])
def test_every_argument_may_begin_at_any_element(built, elements):
    library, layouts, uses = built
    table = Table(uses)
    for k, use in enumerate(uses):
        table.fill(k, pa.array(range(ROWS)), ROWS, use.name)
    words = moved(table.words, elements)

    def run(name: str, *tensors: np.ndarray) -> list[np.ndarray]:
        layout = layouts[name]
        arguments = [moved(a, elements) for a in (layout.ints, layout.floats, layout.bytes, *tensors)]
        library[name](words, *arguments, moved(np.ones(max(1, len(layout.refusals)), np.int64), elements))
        return arguments[3:]

    pieces = [np.zeros((3, 1), np.int64), np.full((3, 1), FEATURES * ROWS, np.int64)]
    made = [np.zeros((FEATURES, ROWS), np.int32), np.zeros((1, 3), np.int64), np.zeros((1, FEATURES, PLACES), np.int64)]
    streams = [np.zeros(FEATURES * ROWS, dtype) for _, dtype in STREAMS]
    lengths, used, places, values, *_ = run("collect_ids", *pieces, *made, *streams)[2:]
    assert (lengths == 1).all()
    assert used.tolist() == [[FEATURES * ROWS, 0, 0]]
    assert places[0, :, 0].tolist() == [ROWS * k for k in range(FEATURES)]
    assert values.tolist() == [*range(ROWS)] * FEATURES
    (copied, done) = np.zeros(FEATURES * ROWS, np.int64), np.zeros(1, np.int64)
    addresses = [np.array([array.ctypes.data], np.int64) for array in (values, copied)]
    library["copy_pieces"](*(moved(a, elements) for a in (*addresses, np.array([values.nbytes]))), moved(done, elements))
    assert copied.tolist() == values.tolist()
    (dense,) = run("numbers", np.zeros((FEATURES, ROWS), np.float32))
    np.testing.assert_array_equal(dense, np.repeat(np.arange(ROWS, dtype=np.float32)[None], FEATURES, axis=0))
