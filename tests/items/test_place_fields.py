"""place_fields: descriptors of the store's fields, and of those that come with a request, damaged ones among them."""

from __future__ import annotations

import numpy as np
import tvm

from te_schedules import guard_columns
from te_schedules.column import WORDS, Word
from te_schedules.item_store import place_fields
from te_schedules.lower import PIPELINE


def test_a_column_that_was_replaced_does_not_lead_into_memory_that_others_use():
    functions = {"guard_columns": guard_columns.prim_func(), "place_fields": place_fields.prim_func()}
    code = tvm.tirx.build(tvm.IRModule(functions), target="llvm", pipeline=PIPELINE)
    given, stored = np.full((3, WORDS), 7, np.int64), np.zeros((3, WORDS), np.int64)
    stored[1] = 9
    safe, placed, rows = np.zeros_like(given), np.zeros_like(given), np.zeros(4, np.int32)
    code["guard_columns"](given, np.array([0, 0, 1], np.int64), safe)
    code["place_fields"](safe, stored, rows, placed)
    safe[:] = -1  # another tensor's
    assert (placed[0] == 7).all()
    assert placed[1, Word.INDEX] == rows.ctypes.data
    assert (np.delete(placed[1], Word.INDEX) == 9).all()
    zeros = placed[2, Word.LIST]
    assert zeros == placed.ctypes.data + 8 * (2 * WORDS + Word.ROWS)
    assert placed[2, Word.ROWS] == 0
