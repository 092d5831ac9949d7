"""Which work a block of a dense layer has on a GPU, by the number of rows: a choice that is modelled, and can be tuned.

A layer of a ranking model at 64 to 1,024 rows is little work for a GPU: what counts is that all of its processors have some, and how long the
longest chain of steps is. So the warps of a block can share the sum over K, and there are three forms (`FORMS`):

    small    16 x 8 of the result in a block, each warp has every `warps`th step of K
    middle   32 x 32, shared in the same way: a quarter of the bytes for each product, and a sixteenth of the blocks
    large    64 x 64, four pieces of 32 x 32 that a quarter of the warps share

`clocks` is what they are chosen by. Of a block on a processor it counts three things, of which the slowest is what a layer takes:

    waiting   the steps of a warp one after the other, up to four at a time, each time LATENCY for what is read; again for as many blocks as
              do not fit on a processor
    issuing   the instructions of all warps, of which a processor starts four in a clock
    reading   the rows of x and the columns of the weight, PER_CLOCK bytes of the second-level cache

893 x 512 at 64 rows has 256 small blocks (of 8 warps, on the 132 processors of an H200), or 32 middle ones, or 8 large ones: the small ones
win by their short chains; at 256 rows the middle ones do, since the small ones read four times as much. `figures.py` has the processors of
each GPU, and how many products they start. The constants here are about those of an H200 by others' measurements; none was measured here,
and no choice was. They decide about the speed alone.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from te_schedules.gpu.figures import Figures

LATENCY = 300  # clocks from a load to its number, from the second-level cache
PER_CLOCK = 24  # bytes that a processor gets of the second-level cache in a clock, when all ask for some
SCHEDULERS = 4  # of a processor, each starts an instruction of 32 threads in a clock
REGISTERS = 65536  # of a processor
OF_THREAD = 128  # of them
MEETING = 100  # clocks for the sums of several warps to meet
_INPUTS = {"fp32": 4}  # of a step; 16 on tensor cores
_WEIGHT_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
SIZES = tuple(16 << k for k in range(10))  # rows that the forms are compared at


@dataclass(frozen=True, kw_only=True)
class GpuDense:
    """Knobs of a dense layer on a GPU. warps: of a block, which share sums · small_rows: the small form up to so many rows · middle_rows: the
    middle form up to so many, the large one beyond. Raises ValueError for anything that no kernel can have."""

    warps: int
    small_rows: int
    middle_rows: int

    def __post_init__(self):
        if self.warps not in SPACE["warps"]:
            raise ValueError(f"GpuDense.warps is {self.warps!r}; give one of {', '.join(map(str, SPACE['warps']))}")
        for name in ("small_rows", "middle_rows"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
                raise ValueError(f"GpuDense.{name} is {value!r}; give a number of rows, at least 0")


SPACE: Mapping[str, tuple[int, ...]] = {
    "warps": (4, 8),
    "small_rows": (0, *SIZES[1:8]),
    "middle_rows": (0, *SIZES[1:10]),
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """tile: rows and columns of a block · pieces: warps side by side in it."""

    tile: tuple[int, int]
    pieces: int


FORMS: Mapping[str, Form] = {
    "small": Form(tile=(16, 8), pieces=1),
    "middle": Form(tile=(32, 32), pieces=1),
    "large": Form(tile=(64, 64), pieces=4),
}


def clocks(form: Form, warps: int, depth: int, units: int, precision: str, rows: int, gpu: Figures) -> float:
    """About how long a layer takes, in clocks of a processor; see the module's text."""
    tile_rows, tile_columns = form.tile
    blocks = -(-rows // tile_rows) * -(-units // tile_columns)
    on_one = -(-blocks // gpu.processors)
    sharing = warps // form.pieces
    steps = -(-depth // (_INPUTS.get(precision, 16) * sharing))
    fitting = REGISTERS // (OF_THREAD * 32 * warps)
    waiting = -(-steps // _ahead(form, precision)) * LATENCY * -(-on_one // fitting)
    issuing = on_one * warps * steps * _slots(form, precision, gpu) / SCHEDULERS
    reading = on_one * depth * (4 * tile_rows + _WEIGHT_BYTES[precision] * tile_columns) / PER_CLOCK
    return max(waiting, issuing, reading) + (MEETING if sharing > 1 else 0)


def _ahead(form: Form, precision: str) -> int:
    """Steps whose loads are under way at a time (`ahead` of `dense.cuh`)."""
    if form.tile == FORMS["small"].tile:
        return 4
    return 2 if _WEIGHT_BYTES[precision] == 2 else 1


def _slots(form: Form, precision: str, gpu: Figures) -> int:
    """Of a scheduler that a warp takes in a step: one for each load, rounding and product, addresses left out; but where a processor has units
    for half of the products of float32 that it could start, two for each of these, between which the others find theirs."""
    high, wide = form.tile[0] // 16, form.tile[1] // 8
    if form.pieces > 1:
        high, wide = high // 2, wide // 2
    if precision == "fp32":
        products = 16 * high * wide
        return max(2 * high + 2 * wide + products, products * (32 * SCHEDULERS // gpu.products))
    return 2 * high + wide + (8 if precision == "tf32" else 4) * high + (2 if precision == "tf32" else 1) * high * wide


@functools.cache
def modelled(depth: int, units: int, precision: str, gpu: Figures) -> GpuDense:
    """The knobs by which a layer takes the fewest clocks: each form as long as it is the best one at all sizes of SIZES up to that."""
    names, warps = tuple(FORMS), max(SPACE["warps"])
    best = [min(names, key=lambda name: clocks(FORMS[name], warps, depth, units, precision, rows, gpu)) for rows in SIZES]
    small = sum(1 for k in range(len(SIZES)) if set(best[: k + 1]) <= {"small"})
    middle = sum(1 for k in range(len(SIZES)) if set(best[: k + 1]) <= {"small", "middle"})
    return GpuDense(warps=warps, small_rows=(0, *SIZES)[small], middle_rows=(0, *SIZES)[middle])
