"""Dense layers below fp32 on the CPU's matrix unit (AMX): 32 rows by 32 columns of sums in four tiles, for all of K.

The tiles are configured to the rows and columns that there are, so that nothing is read or written beyond them. K is padded to whole
tiles in x and in the weight (`Layer.words`). Sums are stored into `out` as they are, int32 of int8 too, and biases and activation go
over them while they are in the L1 cache.

A process must ask Linux before it uses tiles, so each library has a switch, off at first (`switch_func`), and each layer the kernel
of vector instructions beside that of tiles, over the same weights. A task configures the tiles of its thread and releases them.
"""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.layer import TILE_WORDS, Buffers, Layer, cell, load, row_biases
from te_schedules.dense.reduced import instructions
from te_schedules.dense.reduced.instructions import ROWS_OF_X, TILE_ROWS, WEIGHTS
from te_schedules.dense.reduced.panel import write_sums

BLOCK_ROWS = 2 * TILE_ROWS
VECTORS = 2  # tiles of columns in a panel
SWITCH = "use_matrix_unit"
_LANES, _WORD_BYTES = 16, 4
_has_feature = tvm.get_global_func("target.target_has_feature")


@dataclass(frozen=True)
class MatrixUnit:
    """What multiplies a precision: LLVM's feature, the flag in /proc/cpuinfo, the instruction."""

    feature: str
    flag: str
    instruction: str


MATRIX_UNITS = {"bf16": MatrixUnit("amx-bf16", "amx_bf16", "tdpbf16ps"), "int8": MatrixUnit("amx-int8", "amx_int8", "tdpbusd")}
IMPORTS = {"amx": instructions.AMX}


def has_matrix_unit(precision: str, target: tvm.target.Target | None, lanes: int) -> bool:
    """Whether a target multiplies a precision by tiles; the other kernel reads the same weights only where its registers are as wide."""
    features = ("amx-tile", MATRIX_UNITS[precision].feature)
    return target is not None and lanes == _LANES and all(_has_feature(feature, target) for feature in features)


def imports():
    """The frame that a kernel which may use tiles opens around its body."""
    return T.attr(0, "pragma_import_llvm", IMPORTS["amx"])


def switch_func() -> tirx.PrimFunc:
    """(int32: 1 to use tiles, 0 not to), for all kernels of the library; to be called before any of them runs."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(SWITCH)
        on = T.arg("on", T.int32())
        with imports():
            T.evaluate(T.call_extern("void", "rank_tiles_switch", on))
    return builder.get().with_attr("global_symbol", SWITCH)


def is_on():
    """Whether this process may use tiles: a condition for T.If."""
    return T.call_extern("int32", "rank_tiles_are_on") != tirx.const(0, "int32")


def emit_rows(layer: Layer, buffers: Buffers, first, end, panel, columns: int) -> None:
    """Emit out = activation(x W + biases) for the rows first..end and `columns` columns of a panel; only a cheap activation."""
    row, of_column = cell(first), [min(columns - _LANES * c, _LANES) for c in range(-(-columns // _LANES))]
    with T.If(end - row[0] >= BLOCK_ROWS), T.Then():
        _start([TILE_ROWS, TILE_ROWS], of_column)
        with T.serial(T.floordiv(end - row[0], tirx.const(BLOCK_ROWS, "int64"))):
            _emit_block(layer, buffers, row[0], tirx.const(BLOCK_ROWS, "int64"), 2, panel, columns)
            T.buffer_store(row, row[0] + BLOCK_ROWS, [0])
    left = cell(end - row[0])
    with T.If(left[0] > TILE_ROWS):
        with T.Then():
            _start([TILE_ROWS, T.cast(left[0], "int32") - TILE_ROWS], of_column)
            _emit_block(layer, buffers, row[0], left[0], 2, panel, columns)
        with T.Else(), T.If(left[0] > 0), T.Then():
            _start([T.cast(left[0], "int32")], of_column)
            _emit_block(layer, buffers, row[0], left[0], 1, panel, columns)
    T.evaluate(T.call_extern("void", "rank_tiles_end"))


def _start(rows: list, columns: list) -> None:
    """Configure the tiles: rows of x in one or two of them, columns of weights likewise."""
    counts = [*rows, *[0] * (2 - len(rows)), *columns, *[0] * (2 - len(columns))]
    T.evaluate(T.call_extern("void", "rank_tiles_start", *(tirx.const(n, "int32") if isinstance(n, int) else n for n in counts)))


def _emit_block(layer: Layer, buffers: Buffers, row, rows, of_rows: int, panel, columns: int) -> None:
    """`rows` rows in `of_rows` tiles, by all columns of the panel."""
    of_columns = -(-columns // _LANES)
    sums = [(r, c, 2 * r + c) for r in range(of_rows) for c in range(of_columns)]
    per_word = _WORD_BYTES if layer.precision == "int8" else 1  # elements of the weights' buffer

    def call(name: str, *arguments) -> None:
        T.evaluate(T.call_extern("void", f"rank_tiles_{name}", *arguments))

    for _, _, tile in sums:
        call(f"zero_{tile}")
    with T.serial(tirx.const(layer.words // TILE_WORDS, "int64")) as step:
        word = step * TILE_WORDS
        for c in range(of_columns):
            weights = T.address_of(buffers.packed[panel, word, c * _LANES * per_word])
            call(f"load_{WEIGHTS[c]}", weights, tirx.const(layer.width * _WORD_BYTES, "int64"))
        for r in range(of_rows):
            x = T.address_of(buffers.x[row + r * TILE_ROWS, word])
            call(f"load_{ROWS_OF_X[r]}", x, tirx.const(layer.words * _WORD_BYTES, "int64"))
        for _, _, tile in sums:
            call(f"{layer.precision}_{tile}")
    for r, c, tile in sums:
        out = T.address_of(buffers.out[row + r * TILE_ROWS, panel * layer.width + c * _LANES])
        call(f"store_{tile}", out, tirx.const(layer.units * _WORD_BYTES, "int64"))
    with T.serial(rows) as r:
        _finish_row(layer, buffers, row + r, panel, columns)


def _finish_row(layer: Layer, buffers: Buffers, row, panel, columns: int) -> None:
    extra = row_biases(buffers, row)
    for c in range(-(-columns // _LANES)):
        count, column = min(columns - c * _LANES, _LANES), panel * layer.width + c * _LANES
        sums = load(buffers.out, [row], column, _LANES, count)
        bits = T.reinterpret(f"int32x{_LANES}", sums) if layer.precision == "int8" else sums
        write_sums(layer, buffers, bits, row, column, count, extra)
