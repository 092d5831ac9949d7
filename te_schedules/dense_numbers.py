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

from te_schedules import intrin
from te_schedules.column import DTYPES, Field, Word
from te_schedules.procedure import Procedure

Expr = Any
VECTOR = {"float32": 16, "float64": 8}  # numbers of the widest vector of any CPU target; LLVM splits it where vectors are narrower
ROWS = 8  # whose bits are taken at once


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
            convert(dtype, target, stage).call(address, constants, count, out, stride)


def _bits(valid: Any, bit: Expr, block: Expr) -> Expr:
    """The bits of ROWS rows, the first of them lowest."""
    at = intrin.let(bit + block * T.int64(ROWS))

    def byte(k: int) -> Expr:
        return T.cast(valid[T.shift_right(at + T.int64(k), T.int64(3))], "int32")

    both = T.bitwise_or(byte(0), T.shift_left(byte(ROWS - 1), T.int32(8)))
    return intrin.let(T.shift_right(both, T.cast(T.bitwise_and(at, T.int64(7)), "int32")))


def _by_bits(valid: Any, bit: Expr, count: Expr, stride: Expr, body: Callable[[Expr, Expr], None]) -> None:
    """Emit `body(k * stride, condition: the row is valid)` for rows k in 0 .. count - 1; the bit of row 0 is `bit`."""
    done = intrin.local("int64", 0)
    with T.If(stride == T.int64(1)), T.Then():
        whole = intrin.let(count // T.int64(ROWS))
        intrin.assign(done, whole * T.int64(ROWS))
        with T.serial(whole) as block:
            bits = _bits(valid, bit, block)
            with T.vectorized(T.int64(ROWS)) as lane:
                shifted = T.shift_right(bits, T.cast(lane, "int32"))
                body(block * T.int64(ROWS) + lane, T.bitwise_and(shifted, T.int32(1)) != T.int32(0))
    with T.serial(done[0], count) as k:
        byte = T.cast(valid[T.shift_right(bit + k, T.int64(3))], "int64")
        body(k * stride, T.bitwise_and(T.shift_right(byte, T.bitwise_and(bit + k, T.int64(7))), T.int64(1)) != T.int64(0))


@cache
def nulls(target: str) -> Procedure:
    """The procedure that writes `fill` over the numbers of null rows, which are `stride` apart."""

    def emit(valid, bit, count, fill, out, stride) -> None:
        number = T.cast(fill, target)
        _by_bits(valid, bit, count, stride, lambda k, is_valid: T.buffer_store(out, T.Select(is_valid, out[k], number), [k]))

    parameters = {"valid": "uint8*", "bit": "int64", "count": "int64", "fill": "float64", "out": f"{target}*", "stride": "int64"}
    return Procedure(f"rank_nulls_{target}", parameters, emit)


def _emit_marks(valid, bit, count, marks) -> None:
    _by_bits(
        valid, bit, count, T.int64(1), lambda k, is_valid: T.buffer_store(marks, T.Select(is_valid, marks[k], T.uint8(1)), [k])
    )


MARKS = Procedure("rank_nulls_marks", {"valid": "uint8*", "bit": "int64", "count": "int64", "marks": "uint8*"}, _emit_marks)
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
