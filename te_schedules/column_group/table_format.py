"""How a kernel reads rows of embedding tables: from the bytes of a row to float32 lanes in registers.

    fp32, fp16, bf16   [ numbers ]                     number
    int8               [ word | codes ]                (code - zero) * scale        word = scale << 6 | zero / 4
    int4               [ scale | two codes a byte ]    code * scale

`tvm_rank/ops/table_rows.py` defines and writes them. Rows of bytes begin anywhere: loads are unaligned, and read whole vectors, so that
behind the last row of a stack there must be some bytes more (`spans` reads less than 64 bytes too far; fp32 rows are read exactly).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tvm
from tvm.script.ir_builder import tirx as T

from te_schedules import intrin

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "int4")
WIDEST = 64  # float32 lanes that a row is read in: four vectors of AVX-512, so that one pass over the ids does for most tables
LINE, MOST_LINES = 64, 8  # bytes of a cache line; how many of a row are asked for ahead
_HEADER = {"int8": 2, "int4": 1}  # bytes before the numbers of a row
_BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "int4": 4}
_LEAST = {"fp16": 2, "bf16": 2, "int8": 2, "int4": 8}  # lanes that are read at once at least
_has_feature = tvm.get_global_func("target.target_has_feature")


@dataclass(frozen=True)
class Span:
    """Numbers first .. first + count - 1 of a row, read as `lanes` lanes; `times` such spans lie side by side."""

    first: int
    count: int
    lanes: int
    times: int = 1


@dataclass(frozen=True, repr=False)
class TableFormat:
    """Rows of `dim` numbers of a precision. Those of numbers begin at multiples of their size in a stack that begins at one of 16 bytes."""

    precision: str
    dim: int

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"TableFormat.precision is {self.precision!r}; it must be one of {', '.join(PRECISIONS)}")

    def __repr__(self) -> str:
        return f"{self.dim} x {self.precision}"

    def spans(self) -> Iterator[Span]:
        """The parts in which a row is read."""
        whole, rest = divmod(self.dim, WIDEST)
        if whole:
            yield Span(0, WIDEST, WIDEST, whole)
        first = whole * WIDEST
        if rest and self.precision != "fp32":
            lanes = max(_LEAST[self.precision], 1 << (rest - 1).bit_length())
            yield Span(first, rest, lanes)
            return
        for width in (32, 16):
            if rest & width:
                yield Span(first, width, width)
                first += width
        if rest % 16:
            yield Span(first, rest % 16, rest % 16)

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        return _HEADER.get(self.precision, 0) + (self.dim * _BITS[self.precision] + 7) // 8

    @property
    def piece(self) -> int:
        """Numbers that a thread of a GPU reads at once: 16 bytes of them, or what the alignment of rows allows; 8 of rows of codes, which lie
        anywhere, so that few words are read for two pieces."""
        if self.precision in _HEADER:
            return 8 if self.precision == "int4" or self.dim > 4 else 4
        most = 4 if self.precision == "fp32" else 8
        return math.gcd(self.dim, most)

    @property
    def pieces(self) -> int:
        """Pieces of a row."""
        return -(-self.dim // self.piece)

    def lines(self) -> list[int]:
        """Places in a row, in bytes, whose cache lines are all of the row's, or its first MOST_LINES: rows of bytes lie across lines."""
        last = [] if self.row_bytes % LINE == 0 or LINE % self.row_bytes == 0 else [self.row_bytes - 1]
        return [*range(0, self.row_bytes, LINE), *last][:MOST_LINES]

    def imports(self, lanes: int):
        """The frame around code that reads so many lanes of rows."""
        return T.attr(0, "pragma_import_llvm", _load(self.precision, lanes) + _WORDS.get(self.precision, ""))


class TableRow:
    """A row inside of a kernel. `scale` (float32, or None for 1) times `lanes` are its numbers; `zero` (int32, or None) is what `lanes` take
    from codes."""

    def __init__(self, precision: str, address):
        self.precision, self.address = precision, address
        self.scale, self.zero = None, None
        if precision in _HEADER:
            self.scale = intrin.let(T.call_extern("float32", f"rank_scale_{precision}", address))
        if precision == "int8":
            self.zero = intrin.let(T.call_extern("int32", "rank_zero_int8", address))

    def lanes(self, first, count: int):
        """The numbers `first` (int64, a multiple of 16) and behind, divided by the scale: float32 x `count`, one of the spans."""
        zero = [] if self.zero is None else [self.zero]
        at = self.address + first * T.int64(_BITS[self.precision]) // T.int64(8) + T.int64(_HEADER.get(self.precision, 0))
        dtype = "float32" if count == 1 else f"float32x{count}"
        return T.call_extern(dtype, _load_name(self.precision, count), at, *zero)

    def times(self, share: Any | None, count: int) -> Any | None:
        """Scale times `share` (float32, None for 1) as `count` lanes; None when there is nothing to multiply with."""
        factors = [factor for factor in (self.scale, share) if factor is not None]
        if not factors:
            return None
        product = factors[0] if len(factors) == 1 else intrin.let(factors[0] * factors[1])
        return product if count == 1 else T.Broadcast(product, count)


def span_of(first, count: int):
    """The index of `count` neighbours from `first` (int64) on."""
    return first if count == 1 else T.Ramp(first, 1, count)


def _load_name(precision: str, lanes: int) -> str:
    return f"rank_{precision}_row_{lanes}"


def _load(precision: str, lanes: int) -> str:
    """The LLVM function that reads `lanes` numbers at an address."""
    floats = "float" if lanes == 1 else f"<{lanes} x float>"
    extra = ", i32 %zero" if precision == "int8" else ""
    body = _LOADS["fp16_bits" if precision == "fp16" and not _has_half_floats() else precision]
    return (
        f"define linkonce_odr {floats} @{_load_name(precision, lanes)}(i64 %a{extra}) alwaysinline {{\n"
        f"  %p = inttoptr i64 %a to ptr\n{body(lanes, floats)}  ret {floats} %r\n}}\n"
    )


def _has_half_floats() -> bool:
    """Whether the target converts float16 by an instruction; LLVM calls a function of a library else."""
    target = tvm.target.Target.current(allow_none=True)
    return target is not None and any(_has_feature(feature, target) for feature in ("f16c", "avx512f", "neon"))


def _splat(value: int, lanes: int) -> str:
    return "<" + ", ".join([f"i32 {value}"] * lanes) + ">"


def _fp32(_lanes: int, floats: str) -> str:
    return f"  %r = load {floats}, ptr %p, align 4\n"


def _fp16(lanes: int, floats: str) -> str:
    return f"  %h = load <{lanes} x half>, ptr %p, align 2\n  %r = fpext <{lanes} x half> %h to {floats}\n"


def _fp16_bits(lanes: int, floats: str) -> str:
    """Sign, exponent and mantissa moved to their places, then times 2^112 for the other bias: right for subnormal numbers too."""
    factor = "<" + ", ".join(["float 0x46F0000000000000"] * lanes) + ">"
    return (
        f"  %h = load <{lanes} x i16>, ptr %p, align 2\n  %w = sext <{lanes} x i16> %h to <{lanes} x i32>\n"
        f"  %s = shl <{lanes} x i32> %w, {_splat(13, lanes)}\n"
        f"  %m = and <{lanes} x i32> %s, {_splat(0x8FFFE000 - 2**32, lanes)}\n"
        f"  %f = bitcast <{lanes} x i32> %m to {floats}\n  %r = fmul {floats} %f, {factor}\n"
    )


def _bf16(lanes: int, floats: str) -> str:
    return (
        f"  %h = load <{lanes} x i16>, ptr %p, align 2\n  %w = zext <{lanes} x i16> %h to <{lanes} x i32>\n"
        f"  %s = shl <{lanes} x i32> %w, {_splat(16, lanes)}\n  %r = bitcast <{lanes} x i32> %s to {floats}\n"
    )


def _int8(lanes: int, floats: str) -> str:
    zeros = "<" + ", ".join(["i32 0"] * lanes) + ">"
    return (
        f"  %c = load <{lanes} x i8>, ptr %p, align 1\n  %w = zext <{lanes} x i8> %c to <{lanes} x i32>\n"
        f"  %z1 = insertelement <{lanes} x i32> poison, i32 %zero, i32 0\n"
        f"  %z = shufflevector <{lanes} x i32> %z1, <{lanes} x i32> poison, <{lanes} x i32> {zeros}\n"
        f"  %d = sub <{lanes} x i32> %w, %z\n  %r = sitofp <{lanes} x i32> %d to {floats}\n"
    )


def _int4(lanes: int, floats: str) -> str:
    """Each word of 8 codes to 8 lanes; there, code k moves to the top, and back down with its sign."""
    words = lanes // 8
    places = "<" + ", ".join(f"i32 {k // 8}" for k in range(lanes)) + ">"
    shifts = "<" + ", ".join(f"i32 {28 - 4 * (k % 8)}" for k in range(lanes)) + ">"
    return (
        f"  %w = load <{words} x i32>, ptr %p, align 1\n"
        f"  %e = shufflevector <{words} x i32> %w, <{words} x i32> poison, <{lanes} x i32> {places}\n"
        f"  %t = shl <{lanes} x i32> %e, {shifts}\n  %c = ashr <{lanes} x i32> %t, {_splat(28, lanes)}\n"
        f"  %r = sitofp <{lanes} x i32> %c to {floats}\n"
    )


_LOADS = {"fp32": _fp32, "fp16": _fp16, "fp16_bits": _fp16_bits, "bf16": _bf16, "int8": _int8, "int4": _int4}

_WORDS = {
    "int8": "define linkonce_odr float @rank_scale_int8(i64 %a) alwaysinline {\n"
    "  %p = inttoptr i64 %a to ptr\n  %h = load i16, ptr %p, align 1\n  %w = zext i16 %h to i32\n"
    "  %m = and i32 %w, 65472\n  %s = shl i32 %m, 13\n"
    f"  %b = add i32 %s, {127 - 49 << 23}\n  %r = bitcast i32 %b to float\n  ret float %r\n}}\n"
    "define linkonce_odr i32 @rank_zero_int8(i64 %a) alwaysinline {\n"
    "  %p = inttoptr i64 %a to ptr\n  %h = load i8, ptr %p, align 1\n  %w = zext i8 %h to i32\n"
    "  %m = and i32 %w, 63\n  %r = shl i32 %m, 2\n  ret i32 %r\n}\n",
    "int4": "define linkonce_odr float @rank_scale_int4(i64 %a) alwaysinline {\n"
    "  %p = inttoptr i64 %a to ptr\n  %h = load i8, ptr %p, align 1\n  %w = sext i8 %h to i32\n"
    f"  %s = shl i32 %w, 21\n  %m = and i32 %s, {0x8FE00000 - 2**32}\n"
    f"  %b = add i32 %m, {127 - 22 << 23}\n  %r = bitcast i32 %b to float\n  ret float %r\n}}\n",
}
