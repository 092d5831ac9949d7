"""Rows of float32 become words of bf16 or int8: the inputs of dense layers below fp32.

int8, each row for itself, with an exact 0 (the rule of ONNX's DynamicQuantizeLinear):

    low, high = min(0, x * factors), max(0, x * factors)       scale = (high - low) / 255       zero = round(-low / scale)
    q[k] = round(x[k] * factors[k] / scale + zero)             x * factors ~ scale * (q - zero)

A row whose scale is below SMALLEST_SCALE counts as 0 and has scale 1. A row with NaN or infinity has scale NaN, and so have its
outputs. bf16 is x * factors, rounded to nearest and ties to even; NaN stays NaN. The instruction of AVX512-BF16 that rounds takes
denormal numbers for 0, as the one that multiplies does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import hold, splat
from te_schedules.dense.layer import PRECISIONS, load, mask, registers, store
from te_schedules.dense.reduced.products import PRODUCTS, imports

LANES = 16  # numbers at a time; LLVM splits them for narrower registers
_ALIGN = 4
SMALLEST_SCALE = 1e-30  # of a row; smaller rows count as 0
_GRAIN = 1 << 18  # numbers; fewer are rounded by the calling thread
_BLOCK = 16  # rows of a task
_ROUND, _ROUND_BITS = 12582912.0, 0x4B400000  # 1.5 * 2**23: adding it rounds to an integer, which then stands in the low bits
_ABSOLUTE, _INFINITY = 0x7FFFFFFF, 0x7F800000


def rows_func(depth: int, precision: str, name: str, words: int | None = None, products: str = "plain") -> tirx.PrimFunc:
    """int8: (x (N, K) f32, factors (K,) f32, out words (N, ceil(K / 4)) i32, out levels (N, 2) f32: scale, zero)
    bf16: (x, factors, out words (N, ceil(K / 2)) i32). Numbers of a word are in the order of memory; those behind K are 0 in x.
    words: of a row, None for as many as K takes; those behind are 0. products: the form of the layers that read them."""
    is_int8 = precision == "int8"
    words = words or -(-depth // PRECISIONS[precision])
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True, "rank.op": "rank.round_rows", "op_pattern": 8})
        names = ["x", "factors", "words", *(["levels"] if is_int8 else [])]
        handles = {each: T.arg(each, T.handle()) for each in names}
        rows = T.int64()
        shapes = {"x": (rows, depth), "factors": (depth,), "words": (rows, words), "levels": (rows, 2)}
        found = {
            each: T.match_buffer(handles[each], shapes[each], "int32" if each == "words" else "float32", align=_ALIGN)
            for each in names
        }
        emit_row = _emit_int8 if is_int8 else partial(_emit_bf16, PRODUCTS[products].rounds)
        blocks = T.floordiv(rows + (_BLOCK - 1), tirx.const(_BLOCK, "int64"))
        with imports(products), T.If(rows * depth >= tirx.const(_GRAIN, "int64")):
            with T.Then(), T.parallel(blocks) as block:
                _emit_block(found, depth, words, block, rows, emit_row)
            with T.Else(), T.serial(blocks) as block:
                _emit_block(found, depth, words, block, rows, emit_row)
    return builder.get()


def _emit_block(found: dict, depth: int, words: int, block, rows, emit_row: Callable) -> None:
    first = block * _BLOCK
    with T.serial(T.max(T.min(rows - first, tirx.const(_BLOCK, "int64")), tirx.const(0, "int64"))) as r:
        emit_row(found, depth, words, first + r)
        _emit_padding(found["words"], first + r, -(-depth // PRECISIONS["int8" if "levels" in found else "bf16"]), words)


def _emit_padding(words, row, first: int, end: int) -> None:
    """Write 0 to the words first..end of a row."""
    for start in range(first, end, LANES):
        store(words, splat(0, LANES, "int32"), [row], start, LANES, end - start)


def _each_vector(depth: int, emit) -> None:
    """emit(first, count) over a row; count is LANES but for the last."""
    if depth >= LANES:
        with T.serial(tirx.const(depth // LANES, "int64")) as v:
            emit(v * LANES, LANES)
    if depth % LANES:
        emit(tirx.const(depth // LANES * LANES, "int64"), depth % LANES)


def _emit_int8(found: dict, depth: int, words: int, row) -> None:
    whole = [T.ramp(0, 1, LANES)]
    low, high, largest = registers(1, LANES), registers(1, LANES), registers(1, LANES, "int32")
    for register, dtype in ((low, "float32"), (high, "float32"), (largest, "int32")):
        T.buffer_store(register, splat(0, LANES, dtype), whole)

    def measure(first, count):
        x = hold(_number(found, row, first, count), LANES)
        T.buffer_store(low, T.min(low[whole[0]], x), whole)
        T.buffer_store(high, T.max(high[whole[0]], x), whole)
        bits = T.bitwise_and(T.reinterpret(f"int32x{LANES}", x), splat(_ABSOLUTE, LANES, "int32"))
        T.buffer_store(largest, T.max(largest[whole[0]], bits), whole)

    _each_vector(depth, measure)
    least, most, bits = (_folded(*pair) for pair in ((low, T.min), (high, T.max), (largest, T.max)))
    scale, inverse, zero = registers(1, 1), registers(1, 1), registers(1, 1)
    T.buffer_store(scale, (most - least) * tirx.const(1 / 255, "float32"), [0])
    T.buffer_store(scale, T.Select(scale[0] >= tirx.const(SMALLEST_SCALE, "float32"), scale[0], tirx.const(1.0, "float32")), [0])
    T.buffer_store(inverse, tirx.const(1.0, "float32") / scale[0], [0])
    T.buffer_store(zero, _rounded(tirx.const(0.0, "float32") - least * inverse[0]), [0])
    nan = T.reinterpret("float32", tirx.const(0x7FC00000, "int32"))
    T.buffer_store(found["levels"], T.Select(bits >= tirx.const(_INFINITY, "int32"), nan, scale[0]), [row, 0])
    T.buffer_store(found["levels"], zero[0], [row, 1])
    view, start = _view(found["words"], "uint8", 4), row * (words * 4)

    def write(first, count):
        shifted = hold(
            _number(found, row, first, count) * T.broadcast(inverse[0], LANES) + T.broadcast(zero[0] + _ROUND, LANES), LANES
        )
        q = T.reinterpret(f"int32x{LANES}", shifted) - splat(_ROUND_BITS, LANES, "int32")
        q = T.max(T.min(q, splat(255, LANES, "int32")), splat(0, LANES, "int32"))
        _put(view, start + first, T.cast(q, f"uint8x{LANES}"), -(-count // 4) * 4)

    _each_vector(depth, write)


def _number(found: dict, row, first, count):
    """x * factors"""
    return load(found["x"], [row], first, LANES, count) * load(found["factors"], [], first, LANES, count)


def _rounded(x):
    shifted = registers(1, 1)
    T.buffer_store(shifted, x + tirx.const(_ROUND, "float32"), [0])
    return shifted[0] - tirx.const(_ROUND, "float32")


def _folded(register, fold):
    """One number of all lanes of a register."""
    half = LANES
    while half > 1:
        half //= 2
        low, high = (T.ramp(0, 1, half), T.ramp(half, 1, half)) if half > 1 else (0, 1)
        T.buffer_store(register, fold(register[low], register[high]), [low])
    return register[0]


def _emit_bf16(rounds: str, found: dict, depth: int, words: int, row) -> None:
    """rounds: the function in LLVM that rounds a register, "" for plain code."""
    view, start = _view(found["words"], "uint16", 2), row * (words * 2)

    def write(first, count):
        x = _number(found, row, first, count)
        bits = T.call_extern(f"uint16x{LANES}", rounds, x) if rounds else bf16_bits(x)
        _put(view, start + first, bits, -(-count // 2) * 2)

    _each_vector(depth, write)


def bf16_bits(x):
    """uint16 of LANES float32, to nearest and ties to even; a NaN keeps its sign and becomes quiet."""
    bits = registers(1, LANES, "int32")
    whole = T.ramp(0, 1, LANES)
    T.buffer_store(bits, T.reinterpret(f"int32x{LANES}", x), [whole])
    bits = bits[whole]
    odd = T.bitwise_and(T.shift_right(bits, splat(16, LANES, "int32")), splat(1, LANES, "int32"))
    near = T.shift_right(bits + odd + splat(0x7FFF, LANES, "int32"), splat(16, LANES, "int32"))
    quiet = T.bitwise_or(T.shift_right(bits, splat(16, LANES, "int32")), splat(64, LANES, "int32"))
    is_nan = T.bitwise_and(bits, splat(_ABSOLUTE, LANES, "int32")) > splat(_INFINITY, LANES, "int32")
    return T.cast(T.Select(is_nan, quiet, near), f"uint16x{LANES}")


def _view(words, dtype: str, per_word: int):
    """The words as one row of smaller numbers."""
    return T.decl_buffer(
        (words.shape[0] * words.shape[1] * per_word,),
        dtype,
        data=words.data,
        elem_offset=words.elem_offset * per_word,
        align=_ALIGN,
    )


def _put(view, first, values, count: int) -> None:
    """Write the first `count` of LANES values."""
    index = T.ramp(first, 1, LANES)
    if count >= LANES:
        T.buffer_store(view, values, [index])
    else:
        T.evaluate(T.masked_store(view, values, index, mask(LANES, count)))
