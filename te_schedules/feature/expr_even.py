"""Functions of vectors over a block of rows whose vectors all have one length: eight rows at a time, eight numbers of each.

A tile is an array of `lanes.width()`: number k of row r at place 8 k + r, so that a sum goes from the first number to the last in eight lanes.

    rows of 2     u: 1 2 | 3 4 | 5 6 | ...    tile: 1 3 5 .. 2 4 6 ..    u * v: one formula for the tile    sums: a lane a row

A vector of one row that serves all is repeated. What the formula makes of the functions' results is then evaluated with a lane a row.
"""

from __future__ import annotations

from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import field_numbers, intrin
from te_schedules.column import BYTES, Form, Word
from te_schedules.dense_numbers import prefetch_ahead
from te_schedules.feature.expr_memory import COMBINE, OPERATIONS, Memory, each_variable, reduced_variables, reduction
from te_schedules.feature.lanes import FORMULA
from te_schedules.feature.lanes import width as lanes_width
from te_schedules.procedure import Procedure

Expr = Any
ROWS = 8  # of a tile

_LLVM_TYPES = {Form.INT32: "i32", Form.INT64: "i64", Form.FLOAT32: "float", Form.FLOAT64: "double"}
_TO_DOUBLE = {"i32": "sitofp", "i64": "sitofp", "float": "fpext"}

# the difference of neighbouring offsets, or -1 where they differ
_EVEN = """
define linkonce_odr i64 @rank_even(i64 %offsets, i64 %rows) noinline {
start: %p = inttoptr i64 %offsets to ptr %q = getelementptr i32, ptr %p, i64 1 %a = load i32, ptr %p, align 4 %b = load i32, ptr %q, align 4
  %width = sub i32 %b, %a br label %loop
loop: %k = phi i64 [ 0, %start ], [ %next, %loop ] %before = phi i32 [ 0, %start ], [ %found, %loop ]
  %x = getelementptr i32, ptr %p, i64 %k %y = getelementptr i32, ptr %q, i64 %k %c = load i32, ptr %x, align 4 %d = load i32, ptr %y, align 4
  %size = sub i32 %d, %c %other = xor i32 %size, %width %found = or i32 %before, %other
  %next = add nuw nsw i64 %k, 1 %more = icmp slt i64 %next, %rows br i1 %more, label %loop, label %done
done: %same = icmp eq i32 %found, 0 %wide = sext i32 %width to i64 %r = select i1 %same, i64 %wide, i64 -1 ret i64 %r
}
"""


def _deep() -> int:
    """Numbers of each row of a tile."""
    return lanes_width() // ROWS


def _tile(kind: str) -> str:
    """A function that writes a tile: of rows `stride` apart, `last` the last that counts, `deep` numbers of each, as doubles.

    Numbers are loaded one by one, because gathering instructions take several times as long where the machine guards them.
    """
    doubles = f"<{ROWS} x double>"
    rows, loads, before = [], [], "poison"
    for k in range(ROWS):
        rows.append(
            f"  %row{k} = call i64 @llvm.smin.i64(i64 {k}, i64 %last) %place{k} = mul i64 %row{k}, %stride\n"
            f"  %p{k} = getelementptr {kind}, ptr %p, i64 %place{k}"
        )
        number, cast = (f"%x{k}", "") if kind == "double" else (f"%y{k}", f"%y{k} = {_TO_DOUBLE[kind]} {kind} %x{k} to double ")
        loads.append(
            f"  %at{k} = getelementptr {kind}, ptr %p{k}, i64 %k %x{k} = load {kind}, ptr %at{k}, align 1 {cast}"
            f"%v{k} = insertelement {doubles} {before}, double {number}, i64 {k}"
        )
        before = f"%v{k}"
    return f"""
declare i64 @llvm.smin.i64(i64, i64)
define linkonce_odr void @rank_tile_{kind}(i64 %data, i64 %stride, i64 %last, i64 %deep, i64 %out) noinline {{
start:
  %p = inttoptr i64 %data to ptr
  %o = inttoptr i64 %out to ptr
{chr(10).join(rows)}
  br label %loop
loop:
  %k = phi i64 [ 0, %start ], [ %next, %loop ]
{chr(10).join(loads)}
  %place = mul i64 %k, {ROWS}
  %o.at = getelementptr double, ptr %o, i64 %place
  store {doubles} {before}, ptr %o.at, align 8
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %deep
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def _emit_even(memory, variables, reductions, passes, numbers, first, end, result) -> None:
    work = Memory(memory, variables, reductions)
    rows = intrin.let(end - first)
    width = intrin.local("int64", 0)
    vectors = reduced_variables(passes, reductions)
    each_variable(variables, vectors, lambda v: _measure(work, v, (first, rows), width))
    wide = intrin.let(width[0])
    intrin.store("int64", result, T.cast(wide > T.int64(0), "int64"))
    with T.If(wide > T.int64(0)), T.Then(), T.serial((rows + T.int64(ROWS - 1)) // T.int64(ROWS)) as group:
        at = intrin.let(group * T.int64(ROWS))
        last = intrin.let(T.min(T.int64(ROWS), rows - at) - T.int64(1))
        with T.serial(reductions) as r:
            _reduce(work, variables, (passes, r), numbers, (at, last, wide))


def _measure(work: Memory, v: Expr, rows: tuple[Expr, Expr], width) -> None:
    """Note where a variable's numbers begin; set `width` to how many each row has, or to -1 when rows or variables differ."""
    field = field_numbers.field_at(work.words(v))
    number = intrin.local("int64", -1)
    plain = T.And(T.Not(field.is_text), T.And(T.Not(field.is_scalar), T.Not(field.is_mapped)))
    without_nulls = T.And(field[Word.VALID] == T.int64(0), field[Word.ELEMENT_VALID] == T.int64(0))
    with T.If(T.And(plain, without_nulls)), T.Then():
        offsets = intrin.let(field[Word.LIST] + rows[0] * field[Word.STRIDE] * T.int64(4))
        intrin.store("int64", work.held(v), T.cast(intrin.load("int32", offsets), "int64"))
        count = intrin.let(T.if_then_else(field[Word.STRIDE] == T.int64(0), T.int64(1), rows[1]))
        with T.attr(0, "pragma_import_llvm", _EVEN):
            each = intrin.let(T.call_extern("int64", "rank_even", offsets, count))
        with T.If(each > T.int64(0)), T.Then():  # rows without numbers are missing
            intrin.assign(number, each)
    agrees = T.Or(width[0] == T.int64(0), width[0] == number[0])
    intrin.assign(width, T.if_then_else(agrees, number[0], T.int64(-1)))


def _copy(work: Memory, v: Expr, at: Expr, last: Expr, part: tuple[Expr, Expr, Expr]) -> None:
    """A tile of a variable: the numbers [begin, begin + deep) of each row."""
    begin, deep, width = part
    field = field_numbers.field_at(work.words(v))
    first = intrin.let(intrin.load("int64", work.held(v)) + at * width * field[Word.STRIDE] + begin)
    stride = intrin.let(width * field[Word.STRIDE])
    for form, kind in _LLVM_TYPES.items():
        with T.If(field[Word.FORM] == T.int64(int(form))), T.Then(), T.attr(0, "pragma_import_llvm", _tile(kind)):
            address = intrin.let(field[Word.DATA] + first * T.int64(BYTES[form]))
            prefetch_ahead(address, deep * T.int64(ROWS * BYTES[form]))
            T.evaluate(T.call_extern("void", f"rank_tile_{kind}", address, stride, last, deep, work.array(v)))


def _reduce(work: Memory, variables: Expr, which: tuple[Expr, Expr], numbers: Expr, part: tuple[Expr, Expr, Expr]) -> None:
    """What a reduction makes of each row, to a lane of `reduced` and, for the reductions behind it, to the lanes of `spread`."""
    at, last, width = part
    operation, formula, mask = (reduction(*which, k) for k in range(3))
    reduced, spread = (intrin.let(array + which[1] * T.int64(8 * lanes_width())) for array in (work.reduced, work.spread))
    totals = intrin.array(ROWS, "float64")
    with T.vectorized(T.int64(ROWS)) as lane:
        T.buffer_store(totals, T.cast(width, "float64"), [lane])
    stop = intrin.let(T.if_then_else(operation == T.int64(OPERATIONS.index("len")), T.int64(0), width))
    with T.serial((stop + T.int64(_deep() - 1)) // T.int64(_deep())) as tile:
        begin = intrin.let(tile * T.int64(_deep()))
        deep = intrin.let(T.min(T.int64(_deep()), stop - begin))
        each_variable(variables, mask, lambda v: _copy(work, v, at, last, (begin, deep, width)))
        FORMULA.call(formula, work.arrays, numbers, work.spread, deep * T.int64(ROWS), work.results)
        FOLD.call(operation, begin, deep, work.results, intrin.address_of(totals))
    SPREAD.call(intrin.address_of(totals), reduced + at * T.int64(8), spread)
    intrin.keep(totals)


def _emit_fold(operation, begin, deep, values, totals) -> None:
    """Take `deep` more numbers of each row into the totals; the first of all stands as it is: -0.0, and NaN that others are compared with."""
    first = intrin.let(T.cast(begin == T.int64(0), "int64"))
    with T.If(first == T.int64(1)), T.Then(), T.vectorized(T.int64(ROWS)) as lane:
        T.buffer_store(totals, values[lane], [lane])
    for name, combine in COMBINE.items():
        is_it = operation == T.int64(OPERATIONS.index(name))
        with T.If(is_it), T.Then(), T.serial(first, deep) as k, T.vectorized(T.int64(ROWS)) as lane:
            T.buffer_store(totals, combine(totals[lane], values[k * T.int64(ROWS) + lane]), [lane])


def _emit_spread(totals, row, tile) -> None:
    """Write the totals of ROWS rows side by side, and as often as a tile has numbers."""
    with T.vectorized(T.int64(ROWS)) as lane:
        T.buffer_store(row, totals[lane], [lane])
    with T.serial(T.int64(_deep())) as k, T.vectorized(T.int64(ROWS)) as lane:
        T.buffer_store(tile, totals[lane], [k * T.int64(ROWS) + lane])


FOLD = Procedure(
    "rank_expr_fold",
    {"operation": "int64", "begin": "int64", "deep": "int64", "values": "float64*", "totals": "float64*"},
    _emit_fold,
)
SPREAD = Procedure("rank_expr_spread", {"totals": "float64*", "row": "float64*", "tile": "float64*"}, _emit_spread)
EVEN = Procedure(
    "rank_expr_even",
    dict.fromkeys(("memory", "variables", "reductions", "passes", "numbers", "first", "end", "result"), "int64"),
    _emit_even,
)
"""`result`: 1, and then lane k of each reduction's `reduced` is that of row first + k; or 0, when among what is reduced are vectors of
different lengths, texts, nulls or single numbers."""

PROCEDURES = (EVEN, FOLD, SPREAD)
