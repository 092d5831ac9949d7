"""rank.check_columns finds an offset that falls wherever it is: at the start, at the end, and around every width of a vector."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import tirx

from te_schedules import check_columns
from te_schedules.column import WORDS, Word
from te_schedules.lower import PIPELINE

ROWS = (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 200)


@pytest.fixture(scope="module")
def kernel():
    module = tvm.IRModule({"check_columns": check_columns.prim_func()})
    return tirx.build(module, target=tvm.target.Target("llvm"), pipeline=PIPELINE)["check_columns"]


def status_of(kernel, offsets: np.ndarray, size: int) -> int:
    """What the kernel says of a text column of these offsets into `size` bytes."""
    columns, status = np.zeros((1, WORDS), np.int64), np.full(1, -1, np.int64)
    columns[0, [Word.ROWS, Word.TEXT, Word.BYTES]] = len(offsets) - 1, offsets.ctypes.data, size
    kernel(columns, status)
    return int(status[0])


@pytest.mark.parametrize("rows", ROWS)
def test_an_offset_that_falls_is_found_at_every_place(kernel, rows: int):
    good = np.arange(rows + 1, dtype=np.int32) * 3
    assert status_of(kernel, good, 3 * rows) == 0
    assert status_of(kernel, good, 3 * rows - 1) == 1
    for place in range(rows):
        wrong = good.copy()
        wrong[place] = good[place + 1] + 1
        assert status_of(kernel, wrong, 3 * rows) == 1, place
    negative = good.copy()
    negative[0] = -1
    assert status_of(kernel, negative, 3 * rows) == 1


def test_offsets_need_not_be_aligned(kernel):
    room = np.zeros(8 * 100 + 1, np.uint8)
    offsets = room[1 : 1 + 4 * 100].view(np.int32)
    offsets[:] = np.arange(100)
    assert status_of(kernel, offsets, 99) == 0
    offsets[50] = 0
    assert status_of(kernel, offsets, 99) == 1
