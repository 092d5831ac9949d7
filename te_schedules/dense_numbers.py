"""Numbers side by side, many at a time: procedures whose loops are vector instructions, for columns without texts.

    convert(...)   numbers of an Arrow column, in another dtype, perhaps normalized
    nulls(...)     then: another number where a bit of the validity bitmap is 0
    MARKS          a byte for each row that is null

They read and write only what they are told, so the last numbers of a run are done one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tvm.script.ir_builder import tirx as T

from te_schedules import column, intrin
from te_schedules.column import DTYPES, Field, Word
from te_schedules.procedure import Procedure

Expr = Any
VECTOR = {"float32": 16, "float64": 8}  # numbers of the widest vector of any CPU target; LLVM splits it where vectors are narrower
ROWS = 64  # whose bits are taken at once
AHEAD = 4096  # bytes: a page, which is where the processor's own prefetching ends
LINE = 64  # bytes of a cache line


@dataclass(frozen=True, eq=False)
class Stage:
    """What becomes of each number: `emit(x, constants, dtype)` gives an expression, which may stand in a vector loop if `lanes`. Then
    `constants` are `count` values of that dtype, else `constants(k)` is the k-th float64. `name` stands for it in names of procedures."""

    name: str
    count: int
    lanes: bool
    emit: Callable[[Expr, Any, str], Expr]

    def bound(self, constants: Any, dtype: str) -> Sequence[Any]:
        """The constants, read once."""
        return [intrin.local(dtype, T.cast(constants[k], dtype)) for k in range(self.count)]


PLAIN = Stage("plain", 0, True, lambda x, _constants, _dtype: x)
"""The number as it is."""


def each(count: Expr, stride: Expr, width: int, body: Callable[[Expr, Expr], None], *, vectors: bool = True) -> None:
    """Emit `body(k, k * stride)` for k in 0 .. count - 1, `width` of them at a time if `vectors` and the stride is 1."""
    done = intrin.local("int64", 0)
    if vectors:
        with T.If(stride == T.int64(1)), T.Then():
            whole = intrin.let(count // T.int64(width))
            intrin.assign(done, whole * T.int64(width))
            with T.serial(whole) as block, T.vectorized(T.int64(width)) as lane:
                body(block * T.int64(width) + lane, block * T.int64(width) + lane)
    with T.serial(done[0], count) as k:
        body(k, k * stride)


@cache
def convert(source: str, target: str, stage: Stage) -> Procedure:
    """The procedure that writes `count` numbers of dtype `source` to `out` in dtype `target`, `stride` apart, after a stage in that
    dtype whose numbers are `constants`."""

    def emit(data, constants, count, out, stride) -> None:
        bound = stage.bound(constants, target)

        def one(k: Expr, at: Expr) -> None:
            value = T.cast(data[k], target)
            if stage.lanes:
                T.buffer_store(out, stage.emit(value, [b[0] for b in bound], target), [at])
            else:
                T.buffer_store(out, stage.emit(intrin.let(value), lambda c: constants[c], target), [at])

        each(count, stride, VECTOR[target], one, vectors=stage.lanes)

    name = f"rank_numbers_{source}_{target}_{stage.name}"
    parameters = {"data": f"{source}*", "constants": "float64*", "count": "int64", "out": f"{target}*", "stride": "int64"}
    return Procedure(name, parameters, emit)


def call_convert(
    field: Field,
    target: str,
    first: Expr,
    count: Expr,
    out: Expr,
    *,
    stride: Expr = None,
    stage: Stage = PLAIN,
    constants: Expr = None,
) -> None:
    """Emit the conversion of the elements [first, first + count) of a field of numbers to the address `out`, by default side by side."""
    stride, constants = T.int64(1) if stride is None else stride, out if constants is None else constants
    for form, dtype in DTYPES.items():
        with T.If(field[Word.FORM] == T.int64(int(form))), T.Then():
            size = 4 if dtype.endswith("32") else 8
            address = intrin.let(field[Word.DATA] + first * T.int64(size))
            prefetch_ahead(address, count * T.int64(size))
            convert(dtype, target, stage).call(address, constants, count, out, stride)


def prefetch_ahead(address: Expr, size: Expr) -> None:
    """Emit prefetches of the whole lines among `size` bytes that lie AHEAD of those at an address, which are read next."""
    with T.serial(size // T.int64(LINE)) as k:
        intrin.prefetch(address + T.int64(AHEAD) + k * T.int64(LINE))


_LLVM_TYPES = {"float32": "float", "float64": "double", "int64": "i64", "uint8": "i8"}


def _masked(kind: str) -> str:
    """A function that writes `fill` over those of `groups` times ROWS numbers whose bit is 0: ROWS bits at a time, of eight bytes or, where
    they do not begin with one, nine."""
    vector, many = f"<{ROWS} x {kind}>", f"<{ROWS} x i32> zeroinitializer"
    return f"""
define linkonce_odr void @rank_masked_{kind}(i64 %valid, i64 %bit, i64 %groups, {kind} %fill, i64 %out) noinline {{
start:
  %byte = lshr i64 %bit, 3 %first = add i64 %valid, %byte
  %p = inttoptr i64 %first to ptr %o = inttoptr i64 %out to ptr
  %shift = and i64 %bit, 7 %aligned = icmp eq i64 %shift, 0
  %up0 = sub i64 64, %shift %up = and i64 %up0, 63
  %fill1 = insertelement {vector} poison, {kind} %fill, i64 0
  %fills = shufflevector {vector} %fill1, {vector} poison, {many}
  %any = icmp sgt i64 %groups, 0
  br i1 %any, label %loop, label %done
loop:
  %g = phi i64 [ 0, %start ], [ %next, %write ]
  %at = shl i64 %g, 3
  %b.at = getelementptr i8, ptr %p, i64 %at
  %low = load i64, ptr %b.at, align 1
  br i1 %aligned, label %write, label %ninth
ninth:
  %n.at = getelementptr i8, ptr %b.at, i64 8
  %last = load i8, ptr %n.at, align 1 %wide = zext i8 %last to i64
  %high = shl i64 %wide, %up %down = lshr i64 %low, %shift %both = or i64 %down, %high
  br label %write
write:
  %bits = phi i64 [ %low, %loop ], [ %both, %ninth ]
  %is = bitcast i64 %bits to <{ROWS} x i1>
  %place = mul i64 %g, {ROWS}
  %o.at = getelementptr {kind}, ptr %o, i64 %place
  %x = load {vector}, ptr %o.at, align 1
  %y = select <{ROWS} x i1> %is, {vector} %x, {vector} %fills
  store {vector} %y, ptr %o.at, align 1
  %next = add nuw nsw i64 %g, 1
  %more = icmp slt i64 %next, %groups
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def _fill_nulls(valid: Expr, bit: Expr, count: Expr, fill: Expr, out: Any, stride: Expr) -> None:
    """Emit `out[k * stride] = fill` for rows k in 0 .. count - 1 that are null; the bit of row 0 is `bit`."""
    groups = intrin.let(T.Select(stride == T.int64(1), count // T.int64(ROWS), T.int64(0)))
    kind = _LLVM_TYPES[str(out.dtype)]
    with T.attr(0, "pragma_import_llvm", _masked(kind)):
        T.evaluate(T.call_extern("void", f"rank_masked_{kind}", valid, bit, groups, fill, intrin.address_of(out)))
    with T.serial(groups * T.int64(ROWS), count) as k, T.If(T.Not(column.bit(valid, bit + k))), T.Then():
        T.buffer_store(out, fill, [k * stride])


@cache
def nulls(target: str) -> Procedure:
    """The procedure that writes `fill` over the numbers of null rows, which are `stride` apart; `valid` is the address of the bitmap."""

    def emit(valid, bit, count, fill, out, stride) -> None:
        _fill_nulls(valid, bit, count, intrin.let(T.cast(fill, target)), out, stride)

    parameters = {"valid": "int64", "bit": "int64", "count": "int64", "fill": "float64", "out": f"{target}*", "stride": "int64"}
    return Procedure(f"rank_nulls_{target}", parameters, emit)


def _emit_marks(valid, bit, count, marks) -> None:
    _fill_nulls(valid, bit, count, T.uint8(1), marks, T.int64(1))


MARKS = Procedure("rank_nulls_marks", {"valid": "int64", "bit": "int64", "count": "int64", "marks": "uint8*"}, _emit_marks)
"""Write 1 for each null row, and leave the bytes of others as they are."""


@cache
def finish(stage: Stage, dtype: str) -> Procedure:
    """The procedure that writes `count` float64 to `out` as float32, `stride` apart, after a stage of lanes in a dtype; `fill` where a byte
    of `marks` is not 0."""

    def emit(data, marks, constants, fill, count, out, stride) -> None:
        bound = stage.bound(constants, dtype)
        number = T.cast(fill, "float32")

        def one(k: Expr, at: Expr) -> None:
            value = stage.emit(T.cast(data[k], dtype), [b[0] for b in bound], dtype)
            T.buffer_store(out, T.Select(marks[k] == T.uint8(0), T.cast(value, "float32"), number), [at])

        each(count, stride, VECTOR["float32"], one)

    parameters = {"data": "float64*", "marks": "uint8*", "constants": "float64*", "fill": "float64", "count": "int64", "out": "float32*",
                  "stride": "int64"}  # fmt: skip
    return Procedure(f"rank_finish_{dtype}_{stage.name}", parameters, emit)


def conversions(target: str, stages: Iterable[Stage]) -> list[Procedure]:
    """All conversions to a dtype with these stages, and its nulls."""
    return [nulls(target), *(convert(source, target, stage) for stage in stages for source in DTYPES.values())]
