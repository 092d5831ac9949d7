"""The Relax operators of the feature part, as they stand in the graph before `LowerColumns` turns them into kernels.

    rank.<feature type>(columns, rows, constants ..., inputs ...)
                                                        -> numbers (rows, dimension) float32, or
                                                           ids: (values int64 ragged, lengths (rows,) int32[, weights float32]), or
                                                           texts: (bytes uint8 ragged, lengths (rows,) int32), for other features only, or, of a
                                                           sequence, numbers: (float32 (elements, dimension), lengths (rows,) int32)
    rank.lookup(ids, stack)                             -> pooled embeddings (rows, dim) float32; combiner `first`: the row of the first id,
                                                           or of id 0; `filled`: as if a row had so many ids, 0 for those that it lacks
    rank.first_id(ids)                                  -> (rows, 1) int64

`columns` is a descriptor table (fields, WORDS) int64 (`te_schedules/column.py`), `rows` a shape of one dimension, `stack` a stacked
embedding table, float32 (all rows, dim) or uint8 (all rows, row bytes) (`table_format.py`), `inputs` the results of the features that the
column's `inputs` name. All are pure. A column's kind and constants ride in the attribute `column` (JSON) and in constant arguments, so
the graph is complete without Python objects.

They have no legalization of their own: how many of them share a kernel is decided over the whole graph, by `LowerColumns`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, cast

import tvm
from tvm import relax
from tvm.ir import Op

from te_schedules.column_group.table_format import TableFormat
from te_schedules.feature import OPERATORS, Column
from te_schedules.operator import define

LOOKUP, FIRST_ID = "rank.lookup", "rank.first_id"
FIRST = "first"  # a combiner


def _untuple(value):
    """Kinds hold tuples where JSON has lists."""
    return tuple(_untuple(v) for v in value) if isinstance(value, list) else value


def encode(column: Column) -> str:
    """The `column` attribute: everything but the arrays, which are arguments in the order of their names."""
    return json.dumps(
        {"name": column.name, "type": column.kind.stem, "kind": dataclasses.asdict(cast(Any, column.kind)), "fields": column.fields,
         "inputs": column.inputs, "sequence": column.sequence, "ints": dict(column.ints), "arrays": sorted(column.arrays),
         "trees": column.trees},
        sort_keys=True,
    )  # fmt: skip


def decode(call: relax.Call) -> Column:
    """The column of a feature call."""
    text = json.loads(str(call.attrs["column"]))
    kind = OPERATORS[text["type"]](**{name: _untuple(value) for name, value in text["kind"].items()})
    arrays = {name: call.args[2 + k].value.numpy() for k, name in enumerate(text["arrays"])}
    return Column(name=text["name"], kind=kind, fields=tuple(text["fields"]), inputs=tuple(text["inputs"]),
                  sequence=_untuple(text["sequence"]), ints=text["ints"], arrays=arrays, trees=_untuple(text["trees"]))  # fmt: skip


def inputs_of(call: relax.Call) -> list[relax.Var]:
    """The results of other features that a feature call reads, in the order of the column's `inputs`."""
    return list(call.args[2 + len(json.loads(str(call.attrs["column"]))["arrays"]) :])


def dimension(column: Column) -> int:
    """How many numbers a row of a column has."""
    return column.ints.get("dimension", 1)


def _infer_feature(call: relax.Call, _builder) -> relax.Type:
    column = decode(call)
    rows = call.args[1].values[0]
    if column.kind.yields_texts:
        return relax.TupleType([relax.TensorType(dtype="uint8", ndim=1), relax.TensorType([rows], "int32")])
    if not column.kind.yields_ids:
        if column.sequence is not None:
            return relax.TupleType([relax.TensorType(dtype="float32", ndim=2), relax.TensorType([rows], "int32")])
        return relax.TensorType([rows, dimension(column)], "float32")
    parts = [relax.TensorType(dtype="int64", ndim=1), relax.TensorType([rows], "int32")]
    return relax.TupleType(parts + ([relax.TensorType(dtype="float32", ndim=1)] if column.kind.has_weights else []))


def _infer_lookup(call: relax.Call, _builder) -> relax.Type:
    return relax.TensorType([call.args[0].ty.fields[1].shape.values[0], table_format(call).dim], "float32")


def _infer_first_id(call: relax.Call, _builder) -> relax.Type:
    return relax.TensorType([call.args[0].ty.fields[1].shape.values[0], 1], "int64")


_FEATURE_ARGUMENTS = (("columns", "Tensor"), ("rows", "Shape"), ("constants", "Tensor ..."), ("inputs", "Feature ..."))
FEATURE_OPS = {
    stem: define(f"rank.{stem}", (kind.__doc__ or "").splitlines()[0], _FEATURE_ARGUMENTS, _infer_feature)
    for stem, kind in OPERATORS.items()
}
_LOOKUP = define(LOOKUP, "Pool the embedding rows of ragged ids.", (("ids", "Tuple"), ("stack", "Tensor")), _infer_lookup)
_FIRST_ID = define(FIRST_ID, "The first id of each row.", (("ids", "Tuple"),), _infer_first_id)


def _attrs(**values):
    return tvm.ir.make_node("ir.DictAttrs", **values)


def feature(columns: relax.Expr, rows, column: Column, inputs: Sequence[relax.Expr] = ()) -> relax.Call:
    """A feature call over a descriptor table; `rows` is the number of rows (a symbolic int64), `inputs` what its `inputs` name."""
    constants = [relax.const(column.arrays[name], str(column.arrays[name].dtype)) for name in sorted(column.arrays)]
    return relax.Call(
        FEATURE_OPS[column.kind.stem],
        [columns, relax.ShapeExpr([rows]), *constants, *inputs],
        attrs=_attrs(column=encode(column)),
    )


def lookup(
    ids: relax.Expr, stack: relax.Expr, form: TableFormat, *, combiner: str, table: str, table_row: int, filled: int = 0
) -> relax.Call:
    """Pooled rows of `table`, which begins at row `table_row` of the stack, whose rows have the form `form`."""
    more = {"filled": filled} if filled else {}
    attrs = _attrs(combiner=combiner, table=table, table_row=table_row, precision=form.precision, dim=form.dim, **more)
    return relax.Call(_LOOKUP, [ids, stack], attrs=attrs)


def table_format(call: relax.Call) -> TableFormat:
    """The form of the rows that a lookup reads, also one of a sequence."""
    return TableFormat(str(call.attrs["precision"]), int(call.attrs["dim"]))


def first_id(ids: relax.Expr) -> relax.Call:
    """The first id of each row, for a model input of ids."""
    return relax.Call(_FIRST_ID, [ids])


def is_call(expr, name: str) -> bool:
    """True for a call of the operator of that name."""
    return isinstance(expr, relax.Call) and isinstance(expr.op, Op) and expr.op.name == name


def is_feature(expr) -> bool:
    """True for a call of any feature operator."""
    return isinstance(expr, relax.Call) and isinstance(expr.op, Op) and any(expr.op == op for op in FEATURE_OPS.values())
