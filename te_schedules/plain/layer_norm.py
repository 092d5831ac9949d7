"""Layer normalization along the last axis, in lanes: TVM adds one number after the other, and reads the row three times from a loop each."""

from __future__ import annotations

from tvm import relax, tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import hold, splat
from te_schedules.plain import rows
from te_schedules.plain.sum import sum_of_run

LANES = 8


def legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr | None:
    """float32 rows along their last axis."""
    shapes = [rows.shape_of(operand) for operand in call.args]
    x = shapes[0]
    if x is None or x[0] is not None or len(x) < 2 or call.ty.dtype != "float32" or any(shape != x[-1:] for shape in shapes[1:]):
        return None
    if [int(axis) % len(x) for axis in call.attrs.axes] != [len(x) - 1] or not (call.attrs.center and call.attrs.scale):
        return None
    epsilon = float(call.attrs.epsilon)
    name = f"layer_norm_{rows.name_of([x])}_{epsilon:.0e}".replace("-", "m").replace("+", "p")
    given = [x, x[-1:], x[-1:], x]
    return rows.call(builder, rows.kernel(name, given, "float32", lambda b, row: _emit(b, row, epsilon)), name, call.args, call.ty)


def _emit(buffers: list[tirx.Buffer], row: tirx.PrimExpr, epsilon: float) -> None:
    x, scale, offset, out = buffers
    length = int(x.shape[-1])
    whole = length - length % LANES
    with rows.loops(x.shape[1:-1]) as before:
        at = [row, *before]
        mean, factor = (T.alloc_buffer((1,), "float32", scope="global") for _ in range(2))
        squares, lanes = T.alloc_buffer((LANES,), "float32", scope="global"), [T.ramp(0, 1, LANES)]
        T.buffer_store(mean, sum_of_run(x, at, length) / tirx.const(float(length), "float32"), [0])
        T.buffer_store(squares, splat(0.0, LANES), lanes)
        if whole:
            with T.serial(whole // LANES) as k:
                apart = hold(x[tuple([*at, T.ramp(k * LANES, 1, LANES)])] - T.broadcast(mean[0], LANES), LANES)
                T.buffer_store(squares, squares[lanes[0]] + apart * apart, lanes)
        T.buffer_store(factor, rows.reduced(squares, LANES, lambda a, b: a + b), [0])
        with T.serial(length - whole) as k:
            apart = x[tuple([*at, whole + k])] - mean[0]
            T.buffer_store(factor, factor[0] + apart * apart, [0])
        variance = factor[0] / tirx.const(float(length), "float32")
        T.buffer_store(factor, tirx.const(1.0, "float32") / T.sqrt(variance + tirx.const(epsilon, "float32")), [0])
        if whole:
            with T.serial(whole // LANES) as k:
                places = T.ramp(k * LANES, 1, LANES)
                apart = (x[tuple([*at, places])] - T.broadcast(mean[0], LANES)) * T.broadcast(factor[0], LANES)
                T.buffer_store(out, apart * scale[places] + offset[places], [*at, places])
        with T.serial(length - whole) as k:
            place = whole + k
            T.buffer_store(out, (x[tuple([*at, place])] - mean[0]) * factor[0] * scale[place] + offset[place], [*at, place])
