"""How many threads of a GPU share a row of a column: chosen for each column group by a modelled time, unless the knob `lanes` says it.

With more lanes a row of a table is read in fewer and longer reads; but each lane makes the ids of the row, so that long texts are hashed
by all of them. In thread instructions, a row of a column with L lanes costs

    busy(L) = L ids make  +  L ids pieces(L) READ  +  (ids + 1) pieces(L) lines(L) LINE

    make        instructions of an id: of the bytes of a text, MAKE says how many by how ids are made
    pieces(L)   pieces of 16 bytes, or what alignment allows, of a row that each lane has: ceil(pieces / L)
    lines(L)    lines of 128 bytes that L neighbouring pieces lie in: each is looked up by itself, in a cycle in which a multiprocessor
                starts 4 x 32 thread instructions, so LINE = 128; that many for each id, and for the row that is written

and the wait of a thread is that of its instructions one behind the other, and of the memory for each id:

    wait(L) = ids (make DEPENDENT + LATENCY + pieces(L) ISSUE)

The time is rows columns busy(L) / slots + wait(L), in cycles; slots are the thread instructions that the GPU starts in a cycle, STARTED by
each of its multiprocessors (`te_schedules/gpu/figures.py`). A request's own side has one row, whose time is the wait; items are taken to
be ITEM_ROWS. These are numbers of data sheets, not measured ones: what a machine says of the knob is better.
"""

from __future__ import annotations

from te_schedules import bucketize
from te_schedules.column_group.layout import Section
from te_schedules.column_group.table_format import TableFormat
from te_schedules.gpu.figures import Figures, current

LANES = (1, 2, 4, 8, 16, 32)  # those that the model chooses among: of a warp
ITEM_ROWS = 512
READ, LINE, LINE_BYTES = 8, 128, 128
DEPENDENT, LATENCY, ISSUE = 4, 600, 30
STARTED = 128
NUMBER, SEVERAL = 60, 1500  # instructions of an id: of a number that is there, of what looks through several fields
MAKE = {bucketize.NONE: NUMBER, bucketize.NUM_BUCKETS: 100, bucketize.VOCABULARY: 500, "hash_std": 300, "hash_farm": 400}
FEW = ("id_feature", "raw_feature", "kept_values", "constant", "number_text")  # types of which MAKE tells


def form_of(section: Section) -> TableFormat | None:
    """The rows of tables that a column group reads; None for one of numbers or ids."""
    return getattr(section.sink, "form", None)


def lanes_of(section: Section, *, lanes: int, threads: int, rows: int) -> int:
    """The lanes of a column group: `lanes`, or, for 0, those of the least modelled time on the GPU of the target around, in blocks of so many
    threads, for so many rows; 1 for a group that reads no table."""
    form = form_of(section)
    if form is None:
        return 1
    if lanes:
        return lanes
    gpu = current()
    return min((n for n in LANES if threads % n == 0), key=lambda n: time_of(section, form, n, rows, gpu))


def time_of(section: Section, form: TableFormat, lanes: int, rows: int, gpu: Figures) -> float:
    """The modelled time of a column group, in cycles."""
    ids, make = section.ids, make_cost(section)
    pieces = -(-form.pieces // lanes)
    piece_bytes = max(4, form.piece * form.row_bytes // form.dim)
    lines = -(-min(lanes * piece_bytes, form.row_bytes) // LINE_BYTES)
    busy = lanes * ids * (make + pieces * READ) + (ids + 1) * pieces * lines * LINE
    return rows * section.count * busy / (STARTED * gpu.processors) + ids * (make * DEPENDENT + LATENCY + pieces * ISSUE)


def make_cost(section: Section) -> int:
    """The instructions of an id of a column group."""
    if section.kind.stem not in FEW:
        return SEVERAL
    return MAKE[getattr(section.kind, "bucketizer", bucketize.NONE)]
