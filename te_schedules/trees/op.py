"""The Relax operator `rank.tree_ensemble`: type inference, legalization and builder.

    rank.tree_ensemble(x, records, trees, columns, base)                              -> scores (N, targets)
    rank.tree_ensemble(x, records, trees, columns, base, starts, targets, weights)    the same, with lists of weights at the leaves
    ... base, values, entries, starts, leaves)                                        the same, with masks of leaves beside the records

The constants are those of `te_schedules.trees.pack`. Attributes: `targets`, `aggregate` (a name of `Aggregate`), `bits` (of a column in
a record) and `knobs` (the fields of `TreeKnobs`, which `relay_passes.tile_layers` sets). It computes the plain scores; what ONNX calls a
post transform, and labels, are TVM's own operators behind it. Its NumPy definition is `tvm_rank.ops.tree_ensemble.reference`.
"""

from __future__ import annotations

import dataclasses

import tvm
from tvm import relax, tirx
from tvm.ir import Op

from te_schedules.operator import define
from te_schedules.trees.ensemble import Aggregate, Ensemble
from te_schedules.trees.forest import Forest
from te_schedules.trees.kernel import NAME, trees_func
from te_schedules.trees.knobs import TreeKnobs
from te_schedules.trees.pack import pack

_ARGUMENTS = (("x", 2, "float32"), ("records", 2, "int32"), ("trees", 2, "int32"), ("columns", 1, "int32"), ("base", 1, "float64"))
_LISTS = (("starts", 1, "int32"), ("targets", 1, "int32"), ("weights", 1, "float32"))
_MASKS = (("values", 2, "float32"), ("entries", 2, "int32"), ("starts", 1, "int32"), ("leaves", 2, "float64"))
_FORMS = {len(_ARGUMENTS) + len(more): (*_ARGUMENTS, *more) for more in ((), _LISTS, _MASKS)}


def tree_ensemble(x: relax.Expr, ensemble: Ensemble, knobs: TreeKnobs | None = None) -> relax.Call:
    """A call of `rank.tree_ensemble`: x (N, features) float32 -> (N, targets) float32. Raises `te_schedules.trees.pack.TooLarge`."""
    packed = pack(ensemble)
    masks = packed.masks and (packed.masks.values, packed.masks.entries, packed.masks.starts, packed.masks.leaves)
    constants = [packed.records, packed.trees, packed.columns, packed.base, *(packed.weights or masks or ())]
    attrs = tvm.ir.make_node(
        "ir.DictAttrs",
        targets=ensemble.targets,
        aggregate=ensemble.aggregate.value,
        bits=packed.bits,
        knobs=dataclasses.asdict(knobs or TreeKnobs()),
    )
    return relax.Call(Op.get(NAME), [x, *(relax.const(array, str(array.dtype)) for array in constants)], attrs=attrs)


def with_knobs(call: relax.Call, knobs: TreeKnobs) -> relax.Call:
    """The call with other knobs."""
    attrs = {str(name): value for name, value in call.attrs.items()} | {"knobs": dataclasses.asdict(knobs)}
    return relax.Call(call.op, list(call.args), attrs=tvm.ir.make_node("ir.DictAttrs", **attrs))


def forest_of(call: relax.Call) -> Forest:
    """The constants of a call."""
    given = call.attrs["knobs"]
    return Forest(
        targets=int(call.attrs["targets"]),
        aggregate=Aggregate(str(call.attrs["aggregate"])),
        bits=int(call.attrs["bits"]),
        lists=len(call.args) == len(_ARGUMENTS) + len(_LISTS),
        mask_bytes=int(call.args[-1].ty.shape.values[1]) // 8 if len(call.args) == len(_ARGUMENTS) + len(_MASKS) else 0,
        knobs=TreeKnobs(order=str(given["order"]), **{name: int(given[name]) for name in ("lanes", "block_rows", "threads")}),
    )


def _infer_type(call: relax.Call, _builder) -> relax.Type:
    if len(call.args) not in _FORMS:
        raise TypeError(f"{NAME}: {len(call.args)} arguments; expected {', '.join(map(str, _FORMS))}")
    for k, ((name, ndim, dtype), argument) in enumerate(zip(_FORMS[len(call.args)], call.args, strict=True)):
        found = argument.ty
        shape = found.shape if isinstance(found, relax.TensorType) else None
        fixed = list(shape.values)[k == 0 :] if isinstance(shape, relax.ShapeExpr) else [None]
        if found.ndim != ndim or found.dtype != dtype or not all(isinstance(extent, tirx.IntImm) for extent in fixed):
            raise TypeError(f"{NAME}: {name} is {found}; expected {ndim} constant axes{' behind the rows' * (k == 0)} of {dtype}")
    if int(call.args[4].ty.shape.values[0]) != int(call.attrs["targets"]):
        raise TypeError(f"{NAME}: base has {call.args[4].ty.shape.values[0]} values, expected {call.attrs['targets']}, the targets")
    return relax.TensorType([call.args[0].ty.shape.values[0], int(call.attrs["targets"])], "float32")


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    forest = forest_of(call)
    func = builder.add_func(trees_func(forest), forest.name)
    return relax.call_tir(func, relax.Tuple(list(call.args)), call.ty)


define(NAME, "The scores of an ensemble of decision trees.", [(name, "Tensor") for name, *_ in _ARGUMENTS], _infer_type, _legalize)
