"""The scores that samples must have, in a way that shares nothing with the compiled kernels: each feature by its reference, the rows of
its table as NumPy decodes them, pooling by its reference, and the user's own ONNX model by ONNX's evaluator, which is NumPy too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
from onnx import numpy_helper

from tvm_rank.config.spec import FeatureConfig
from tvm_rank.frontend.binding import Binding
from tvm_rank.frontend.onnx_file import read_model
from tvm_rank.frontend.tables import Stack
from tvm_rank.ops.table_rows import FP32, decode, encode
from tvm_rank.output import FeatureOutput
from tvm_rank.samples.model_inputs import model_inputs


class NoScores(Exception):
    """There are no expected scores; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Definition:
    """What scores are computed from: the features that the model reads and those that they read, the inputs of the model, its tables with
    the stacks that hold them, and the ONNX model as it was given; `outputs` maps each of its outputs to dtype and shape; `model_tables` are
    those of the tables that are initializers of the model."""

    config: FeatureConfig
    bindings: Sequence[Binding]
    stacks: Sequence[Stack]
    tables: Mapping[str, np.ndarray]
    model: Any
    outputs: Mapping[str, tuple[str, tuple[int | str, ...]]]
    model_tables: tuple[str, ...] = ()


def expected_scores(definition: Definition, outputs: Mapping[str, FeatureOutput], rows: int) -> dict[str, np.ndarray]:
    """Output -> (rows, ...). outputs: what the references say of the features. Raises NoScores where the evaluator cannot run the model."""
    precisions = {name: stack.precision for stack in definition.stacks for name in stack.names}

    def table(name: str) -> np.ndarray:
        return cast(np.ndarray, _StoredTable(definition.tables[name], precisions[name]))

    kept = {name: table(name)[:] for name in definition.model_tables if precisions.get(name, FP32) != FP32}
    return _evaluated(definition, model_inputs(definition.bindings, outputs, rows, table), rows, kept)


@dataclass(frozen=True, eq=False)
class _StoredTable:
    """A table as its precision has it; only the rows that are asked for are read."""

    values: np.ndarray
    precision: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __getitem__(self, ids: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # what a precision cannot hold is refused when the tables are written
            rows = np.ascontiguousarray(self.values[ids], "<f4")
            if self.precision == FP32 or not len(rows):
                return rows
            return decode(encode(rows, self.precision), self.precision, self.shape[1])


def _evaluated(
    definition: Definition, inputs: Mapping[str, np.ndarray], rows: int, kept: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The outputs of the ONNX model, in the dtypes and shapes that the artifact has; `kept`: its tables as their precision has them."""
    from onnx.reference import ReferenceEvaluator

    proto, _ = read_model(definition.model)
    for name, array in kept.items():
        _put(proto, name, array)
    given = dict(inputs)
    for entry in proto.graph.input:  # inputs that the model declares and does not read
        if entry.name not in given and entry.name not in {tensor.name for tensor in proto.graph.initializer}:
            given[entry.name] = _zeros(entry, rows)
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(proto).run(list(definition.outputs), given)
    except Exception as error:  # its operators raise what they like, and those that it lacks NotImplementedError
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NoScores(f"ONNX's reference evaluator cannot run the model ({reason})") from error
    scores = {}
    for (name, (dtype, shape)), value in zip(definition.outputs.items(), found, strict=True):
        array, wanted = np.asarray(value), tuple(rows if extent == "N" else int(extent) for extent in shape)
        if array.shape != wanted or array.dtype.kind != np.dtype(dtype).kind:
            raise NoScores(
                f"ONNX's reference evaluator gives {array.dtype} {array.shape} for the output {name!r}, which is {dtype} {wanted}"
            )
        scores[name] = np.ascontiguousarray(array, dtype)
    return scores


def _put(proto: onnx.ModelProto, name: str, table: np.ndarray) -> None:
    """Give an initializer, or what a Constant makes, the numbers of a table (rows, d), in its own shape."""
    constants = (a.t for node in proto.graph.node if name in node.output for a in node.attribute if a.name == "value")
    for tensor in (*(t for t in proto.graph.initializer if t.name == name), *constants):
        tensor.CopyFrom(numpy_helper.from_array(table.reshape(tuple(tensor.dims)), tensor.name))


def _zeros(entry: onnx.ValueInfoProto, rows: int) -> np.ndarray:
    kind = entry.type.tensor_type
    return np.zeros([rows, *(dim.dim_value for dim in kind.shape.dim[1:])], onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
