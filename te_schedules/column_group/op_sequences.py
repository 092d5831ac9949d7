"""Relax operators that give the elements of a sequence feature to the dense model, padded to a fixed length.

    rank.sequence_lookup(ids, stack)   -> embeddings (rows, length, dim) float32, zeros behind the last element; combiner `first`: the row of
                                          the first id of each element, of id 0 where there is none and behind the last element
    rank.sequence_ids(ids)             -> the first id of each element (rows, length) int64, 0 behind the last element
    rank.sequence_numbers(numbers)     -> (rows, length, dimension) float32, zeros behind the last element
    rank.sequence_length(values)       -> how many elements each row has (rows, 1) int64

`ids` and `numbers` are the results of feature operators of sequences. `length` is an attribute, the column's `sequence_length`.
"""

from __future__ import annotations

import tvm
from tvm import relax

from te_schedules.column_group.op import table_format
from te_schedules.column_group.table_format import TableFormat
from te_schedules.operator import define

LOOKUP, IDS, NUMBERS, LENGTH = "rank.sequence_lookup", "rank.sequence_ids", "rank.sequence_numbers", "rank.sequence_length"
NAMES = (LOOKUP, IDS, NUMBERS, LENGTH)


def _rows(call: relax.Call):
    return call.args[0].ty.fields[1].shape.values[0]


def _infer_lookup(call: relax.Call, _builder) -> relax.Type:
    return relax.TensorType([_rows(call), int(call.attrs["length"]), table_format(call).dim], "float32")


def _infer_ids(call: relax.Call, _builder) -> relax.Type:
    return relax.TensorType([_rows(call), int(call.attrs["length"])], "int64")


def _infer_numbers(call: relax.Call, _builder) -> relax.Type:
    return relax.TensorType([_rows(call), int(call.attrs["length"]), int(call.attrs["dimension"])], "float32")


def _infer_length(call: relax.Call, _builder) -> relax.Type:
    return relax.TensorType([_rows(call), 1], "int64")


_OF_IDS = (("ids", "Tuple"),)
_LOOKUP = define(LOOKUP, "The embeddings of the elements of sequences.", (*_OF_IDS, ("stack", "Tensor")), _infer_lookup)
_IDS = define(IDS, "The first id of each element of sequences.", _OF_IDS, _infer_ids)
_NUMBERS = define(NUMBERS, "The numbers of the elements of sequences.", (("numbers", "Tuple"),), _infer_numbers)
_LENGTH = define(LENGTH, "How many elements each sequence has.", (("values", "Tuple"),), _infer_length)


def _call(operator, arguments: list[relax.Expr], **values) -> relax.Call:
    return relax.Call(operator, arguments, attrs=tvm.ir.make_node("ir.DictAttrs", **values))


def lookup(
    ids: relax.Expr, stack: relax.Expr, form: TableFormat, *, combiner: str, table: str, table_row: int, length: int
) -> relax.Call:
    """The embeddings of each element, its ids pooled by `combiner`."""
    more = {"precision": form.precision, "dim": form.dim}
    return _call(_LOOKUP, [ids, stack], combiner=combiner, table=table, table_row=table_row, length=length, **more)


def ids(values: relax.Expr, length: int) -> relax.Call:
    """The first id of each element."""
    return _call(_IDS, [values], length=length)


def numbers(values: relax.Expr, length: int, dimension: int) -> relax.Call:
    """The numbers of each element."""
    return _call(_NUMBERS, [values], length=length, dimension=dimension)


def length_of(values: relax.Expr) -> relax.Call:
    """How many elements each row has."""
    return _call(_LENGTH, [values])
