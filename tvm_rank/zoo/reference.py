"""The scores of a workload by NumPy: features and pooling by the operators' references, dense layers in plain array code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pyarrow as pa
from onnx.reference import ReferenceEvaluator

from tvm_rank.config.load import load_config
from tvm_rank.frontend.binding import bind_inputs
from tvm_rank.frontend.onnx_signature import read_signature
from tvm_rank.ops.dag import references
from tvm_rank.samples.model_inputs import model_inputs as model_inputs_of
from tvm_rank.zoo.workload import REQUEST_COLUMN, Workload, request_of

Dense = Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], np.ndarray]


def scores(workload: Workload, dense: Dense, request: int | None = None) -> np.ndarray:
    """float32 (rows,) for all items, or those of a request; `dense` maps graph inputs and constants to logits (rows, 1)."""
    logits = dense(model_inputs(workload, request), workload.read_weights())
    return (1 / (1 + np.exp(-logits[:, 0]))).astype(np.float32)


def outputs(workload: Workload, request: int | None = None) -> dict[str, np.ndarray]:
    """Every output of the graph by ONNX's own evaluator, for all items, or those of a request: name -> (rows, width)."""
    evaluator = ReferenceEvaluator(str(workload.model))
    return dict(zip(evaluator.output_names, evaluator.run(None, model_inputs(workload, request)), strict=True))


def model_inputs(workload: Workload, request: int | None = None) -> dict[str, np.ndarray]:
    """What the dense model is fed: graph input -> float32 or int64, a row for each item."""
    return inputs_of(workload, *item_columns(workload, request))


def inputs_of(workload: Workload, columns: Mapping[str, pa.Array], rows: int) -> dict[str, np.ndarray]:
    """The same of other raw columns, of `rows` rows each."""
    config, tables = load_config(workload.features), workload.read_tables()
    entries, _, problems = read_signature(onnx.load(workload.model))
    assert not problems, problems
    bindings = bind_inputs(entries, config, "zoo")
    return model_inputs_of(bindings, references(config, columns, rows), rows, tables.__getitem__)


def item_columns(workload: Workload, request: int | None = None) -> tuple[dict[str, pa.Array], int]:
    """Every raw column with one row per item (request columns repeated), and the number of rows."""
    items = workload.read_items()
    if request is not None:
        items = items.filter(pa.array(request_of(items) == request))
    repeated = workload.read_user().take(pa.array(request_of(items)))
    columns = {name: table.column(name).combine_chunks() for table in (repeated, items) for name in table.column_names}
    columns.pop(REQUEST_COLUMN)
    return columns, items.num_rows
