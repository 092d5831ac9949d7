"""The Relax operator `rank.pair_pool`: the weighted sum over the positions of a sequence, for each item.

    out[n, d] = sum_l weights[n, l] * keys[i(n), l, d]              i(n) = index[n], or n without an index

The second half of attention. The keys of a request are read where they are, instead of being tiled over its items first.
`relay_passes/split_pairs.py` makes it; its NumPy definition is `tvm_rank.ops.pair_pool.reference`.
"""

from __future__ import annotations

import tvm
from tvm import relax, tirx
from tvm.ir import Op
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import splat
from te_schedules.dense.layer import load, registers, store
from te_schedules.dense.tiles import DenseTiles
from te_schedules.operator import define

NAME = "rank.pair_pool"
_ALIGN = 4


def pair_pool(weights: relax.Expr, keys: relax.Expr, index: relax.Expr | None, tiles: DenseTiles) -> relax.Call:
    """A call of `rank.pair_pool` -> (N, D) float32.

    weights (N, L), keys (R, L, D), L and D constant, float32 · index (N,) int32, None when keys has N rows; an index out of range
    takes the nearest row.
    """
    attrs = tvm.ir.make_node("ir.DictAttrs", lanes=tiles.lanes)
    return relax.Call(Op.get(NAME), [weights, keys, *([] if index is None else [index])], attrs=attrs)


def _infer_type(call: relax.Call, _builder) -> relax.Type:
    weights, keys, *index = (list(argument.ty.shape.values) for argument in call.args)
    analyzer, rows = tvm.sym.Analyzer(), index[0] if index else keys[:1]
    known = len(weights) == 2 and len(keys) == 3 and all(isinstance(extent, tirx.IntImm) for extent in keys[1:])
    if not known or not all(analyzer.can_prove_equal(a, b) for a, b in ((weights[0], rows[0]), (weights[1], keys[1]))):
        shapes = ", ".join(str(argument.ty) for argument in call.args)
        raise TypeError(f"{NAME}: got {shapes}; expected weights (N, L), keys (R, L, D) and index (N,), L and D constant")
    return relax.TensorType([weights[0], keys[2]], "float32")


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    _rows, length, dim = call.args[1].ty.shape.values
    taken, lanes = len(call.args) == 3, int(call.attrs["lanes"])
    name = f"pair_pool_{int(length)}x{int(dim)}{'' if taken else '_own'}"
    function = pool_func(length=int(length), dim=int(dim), taken=taken, lanes=lanes, name=name)
    return relax.call_tir(builder.add_func(function, name), relax.Tuple(list(call.args)), call.ty)


def pool_func(*, length: int, dim: int, taken: bool, lanes: int, name: str) -> tirx.PrimFunc:
    """The kernel, with destination passing: items in parallel, the sums of `lanes` columns in a register."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True, "rank.op": NAME, "rank.flops": 2 * length * dim, "op_pattern": 8})
        rows, requests = T.int64(), T.int64()
        shapes = {"weights": (rows, length), "keys": (requests if taken else rows, length, dim)}
        shapes |= {"index": (rows,)} if taken else {}
        shapes["out"] = (rows, dim)
        handles = {key: T.arg(key, T.handle()) for key in shapes}
        found = {
            key: T.match_buffer(handles[key], shape, "int32" if key == "index" else "float32", align=_ALIGN)
            for key, shape in shapes.items()
        }
        with T.parallel(rows) as item:
            row = item
            if taken:
                last = found["keys"].shape[0] - tirx.const(1, "int64")
                row = T.bind(T.max(T.min(T.cast(found["index"][item], "int64"), last), tirx.const(0, "int64")))
            for first in range(0, dim, lanes):
                _emit_sum(found, item, row, first, min(lanes, dim - first), lanes)
    return builder.get()


def _emit_sum(found: dict[str, tirx.Buffer], item, row, first: int, count: int, lanes: int) -> None:
    sums, register = registers(1, lanes), [T.ramp(0, 1, lanes)]
    T.buffer_store(sums, splat(0.0, lanes), register)
    with T.serial(found["weights"].shape[1]) as position:
        key = load(found["keys"], [row, position], tirx.const(first, "int64"), lanes, count)
        weight = T.broadcast(found["weights"][item, position], lanes)
        T.buffer_store(sums, sums[register[0]] + weight * key, register)
    store(found["out"], sums[register[0]], [item], tirx.const(first, "int64"), lanes, count)


_ARGUMENTS = [(name, "Tensor") for name in ("weights", "keys", "index")]
define(NAME, "The weighted sum over the positions of a sequence.", _ARGUMENTS, _infer_type, _legalize)
