"""The dense layer on CPU: packed weights, register tiles, a symbolic number of rows.

    out[n, j] = activation(sum_k x[n, k] * W[k, j] + bias[j] (+ row_bias[row_index[n], j]) (+ item_bias[item_index[n], j]))

1. Tasks are (chunk of rows) x (panel of weights), panels innermost: the chunk of x stays in the L2 cache and every weight is read
   once per chunk. A call with at least `grain_flops` operations deals the tasks to TVM's thread pool; a smaller one runs in place.
2. In a task, a tile of rows x panel is summed over all of K in registers. The rows left over go to tiles of 8, 4, 2 and 1 rows.
3. Registers start as the bias. They are written once, the last vector under a mask, through a cheap activation; an expensive one
   goes over the task's part of `out` afterwards, while it is in the cache: a copy of its code in every tile takes long to compile.
4. A layer that is much deeper than a part of K is summed part by part into `out`: a chunk of its whole rows would be so few rows that
   the weights were read again and again.

Few outputs do not fill a vector: then the sums run along K (`dot.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.dense import dot, panel
from te_schedules.dense.layer import INSTRUCTION, LAYER, MATRIX_FLAG, Buffers, Layer, cell
from te_schedules.dense.reduced import matrix
from te_schedules.dense.reduced import panel as reduced_panel
from te_schedules.dense.reduced.products import PRODUCTS, imports

_FLOAT_BYTES = 4
_ALIGN = 4  # of every tensor: a caller's array need not begin at a vector boundary


def dense_func(layer: Layer, name: str = "dense") -> tirx.PrimFunc:
    """The function of a layer, with destination passing.

    (x (N, K) f32, packed (panels, K, width) f32, bias (J,) f32[, row_bias (R, J) f32, row_index (N,) i32[, item_bias (S, J) f32,
    item_index (N,) i32]], out (N, J) f32); below fp32, x and packed are as `reduced/op.py` says.
    N and R are symbolic, N may be 0.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        operator = "rank.dense" if layer.precision == "fp32" else "rank.reduced_dense"
        T.func_attr({"tirx.noalias": True, "rank.op": operator, "rank.flops": layer.flops, "op_pattern": 8})
        if layer.precision == "fp32":  # those that are tuned
            T.func_attr({LAYER: json.dumps(layer.described())})
        else:
            T.func_attr(_multiplied(layer))
        rows, buffers = _declare(layer)
        with imports(layer.products), matrix.imports() if layer.matrix else nullcontext():
            _emit_tasks(layer, buffers, rows)
    return builder.get()


def _multiplied(layer: Layer) -> dict[str, str]:
    """The attributes that say what multiplies below fp32."""
    instruction = PRODUCTS[layer.products].instruction
    if not layer.matrix:
        return {INSTRUCTION: instruction}
    unit = matrix.MATRIX_UNITS[layer.precision]
    return {INSTRUCTION: f"{unit.instruction}, or {instruction}", MATRIX_FLAG: unit.flag}


def _declare(layer: Layer) -> tuple[tirx.Var, Buffers]:
    int8 = ["levels", "packed", "factors", "totals"]
    names = ["x", *(int8 if layer.precision == "int8" else ["packed"]), "bias"]
    names += [*(["row_bias", "row_index"] if layer.has_row_bias else [])]
    names += [*(["item_bias", "item_index"] if layer.has_item_bias else []), "out"]
    handles = {name: T.arg(name, T.handle()) for name in names}
    rows, requests, items = T.int64(), T.int64(), T.int64()
    shapes = {
        "x": (rows, layer.words),
        "levels": (rows, 2),
        "packed": (layer.panels, layer.words, layer.width * (4 if layer.precision == "int8" else 1)),
        "factors": (layer.units,),
        "totals": (layer.units,),
        "bias": (layer.units,),
        "row_bias": (requests, layer.units),
        "row_index": (rows,),
        "item_bias": (items, layer.units),
        "item_index": (rows,),
        "out": (rows, layer.units),
    }
    word = {"fp32": ("float32", "float32"), "bf16": ("int32", "int32"), "int8": ("int32", "int8")}[layer.precision]
    integers = {"x": word[0], "packed": word[1], "totals": "int32", "row_index": "int32", "item_index": "int32"}
    dtypes = {name: integers.get(name, "float32") for name in names}
    matched = {name: T.match_buffer(handles[name], shapes[name], dtypes[name], align=_ALIGN) for name in names}
    if layer.width == 1:  # (J, K, 1) seen as (J, K)
        matched["packed"] = T.decl_buffer((layer.units, layer.depth), "float32", data=matched["packed"].data, align=_ALIGN)
    return rows, Buffers(**matched)


def _emit_tasks(layer: Layer, buffers: Buffers, rows) -> None:
    """Chunks x panels, in parallel when the call is big enough. Chunks are equal, and a multiple of the tile's rows."""
    tile = matrix.BLOCK_ROWS if layer.matrix else layer.tile_rows(layer.task_columns)
    most = max(1, layer.tiles.chunk_bytes // (layer.depth_steps * _FLOAT_BYTES) // tile) * tile
    # At least one chunk even of no rows: TVM takes extents for positive, so a guard against a division by 0 would be removed.
    chunks = T.bind(T.floordiv(rows, tirx.const(most + 1, "int64")) + 1)
    chunk = T.bind(T.ceildiv(T.ceildiv(rows, chunks), tirx.const(tile, "int64")) * tile)
    tasks = chunks * layer.tasks_per_chunk
    big = rows * (2 * layer.depth * layer.units) >= tirx.const(layer.tiles.grain_flops, "int64")
    with T.If(big):
        with T.Then(), T.parallel(tasks) as task:
            _emit_task(layer, buffers, rows, chunk, task)
        with T.Else(), T.serial(tasks) as task:
            _emit_task(layer, buffers, rows, chunk, task)


def _emit_task(layer: Layer, buffers: Buffers, rows, chunk, task) -> None:
    count = layer.tasks_per_chunk
    first = cell(T.floordiv(task, count) * chunk)[0]
    end = cell(T.max(T.min(first + chunk, rows), first))[0]  # chunks are rounded up to tiles, so the last ones may be empty
    emit_panel(layer, buffers, first, end, cell(T.floormod(task, count))[0])


def emit_panel(layer: Layer, buffers: Buffers, first, end, number) -> None:
    """Emit the rows first..end (int64) of the columns of one task, `number` of `layer.tasks_per_chunk`."""
    count = layer.tasks_per_chunk
    last_columns = layer.units - (count - 1) * layer.task_columns
    if last_columns == layer.task_columns:
        _emit_rows(layer, buffers, first, end, number, layer.task_columns)
        return
    if count == 1:
        _emit_rows(layer, buffers, first, end, tirx.const(0, "int64"), last_columns)
        return
    with T.If(number < count - 1):
        with T.Then():
            _emit_rows(layer, buffers, first, end, number, layer.task_columns)
        with T.Else():
            _emit_rows(layer, buffers, first, end, tirx.const(count - 1, "int64"), last_columns)


def _emit_rows(layer: Layer, buffers: Buffers, first, end, number, columns: int) -> None:
    """The rows first..end of one panel."""
    if layer.width == 1:
        _emit_tiles(layer, first, end, columns, lambda row, rows: dot.emit_rows(layer, buffers, row, rows))
        dot.emit_activation(layer, buffers, first, end)
        return
    if layer.precision != "fp32":
        _emit_reduced(layer, buffers, first, end, number, columns)
        panel.emit_activation(layer, buffers, first, end, number, columns)
        return
    size = layer.depth_steps
    if size == layer.depth:
        _emit_tiles(layer, first, end, columns, lambda row, rows: panel.emit_sums(layer, buffers, row, rows, number, columns))
        panel.emit_activation(layer, buffers, first, end, number, columns)
        return
    panel.emit_biases(layer, buffers, first, end, number, columns)
    with T.serial(tirx.const(-(-layer.depth // size), "int64")) as part:
        steps = panel.Steps(part * size, T.min(layer.depth - part * size, tirx.const(size, "int64")))
        _emit_tiles(
            layer, first, end, columns, lambda row, rows: panel.emit_sums(layer, buffers, row, rows, number, columns, steps)
        )
    panel.emit_activation(layer, buffers, first, end, number, columns, is_applied=False)


def _emit_reduced(layer: Layer, buffers: Buffers, first, end, number, columns: int) -> None:
    """The rows first..end of one panel below fp32, without an expensive activation."""

    def emit_vectors() -> None:
        _emit_tiles(
            layer, first, end, columns, lambda row, rows: reduced_panel.emit_sums(layer, buffers, row, rows, number, columns)
        )

    if not layer.matrix:
        emit_vectors()
        return
    with T.If(matrix.is_on()):
        with T.Then():
            matrix.emit_rows(layer, buffers, first, end, number, columns)
        with T.Else():
            emit_vectors()


def _emit_tiles(layer: Layer, first, end, columns: int, emit: Callable) -> None:
    """`emit(row, rows)` for the rows first..end: whole tiles, then lower ones, each at most once, for the rows that are left."""
    row, tile = cell(first), layer.tile_rows(columns)
    for rows in [tile, *(1 << power for power in reversed(range((tile - 1).bit_length())))]:
        with T.serial(T.floordiv(end - row[0], tirx.const(rows, "int64"))):
            emit(row[0], rows)
            T.buffer_store(row, row[0] + rows, [0])
