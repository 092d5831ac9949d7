"""The scores of a workload by NumPy: features by the operators' references, pooling and dense layers in plain array code."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pyarrow as pa
from onnx.reference import ReferenceEvaluator

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Feature, FeatureConfig
from tvm_rank.frontend.binding import Binding, bind_inputs
from tvm_rank.frontend.onnx_signature import read_signature
from tvm_rank.ops import lookup
from tvm_rank.ops.references import reference
from tvm_rank.output import FeatureOutput
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
    made = {binding.input.name: _input(binding, config, columns, rows, tables) for binding in bind_inputs(entries, config, "zoo")}
    return made


def _input(
    binding: Binding, config: FeatureConfig, columns: Mapping[str, pa.Array], rows: int, tables: Mapping[str, np.ndarray]
) -> np.ndarray:
    """One graph input, in its shape and dtype."""
    made = [reference(f, [columns[field.name] for field in f.fields], rows, config.hash_function) for f in binding.features]
    entry = binding.input
    if binding.kind in ("mask", "length"):
        assert made[0].lengths is not None, "a sequence says how many elements each row has"
        counts = (
            np.minimum(made[0].lengths, binding.features[0].sequence.length) if binding.features[0].sequence else made[0].lengths
        )
        found = counts[:, None] if binding.kind == "length" else np.arange(entry.shape[0])[None, :] < counts[:, None]
    elif binding.kind in ("elements", "element_ids"):
        parts = zip(binding.features, made, strict=True)
        found = np.concatenate([_padded(output, _elements(f, output, tables), entry.shape[0]) for f, output in parts], axis=2)
    else:
        found = np.hstack([value_of(f, output, tables) for f, output in zip(binding.features, made, strict=True)])
    return found.reshape(rows, *entry.shape).astype(entry.dtype)


def _elements(feature: Feature, output: FeatureOutput, tables: Mapping[str, np.ndarray]) -> np.ndarray:
    """Every element of a sequence: (elements, dim) embeddings, (elements, value_dim) numbers, or (elements, 1) ids."""
    if output.dense is not None:
        return output.dense
    assert output.values is not None, "a sequence has ids or numbers"
    assert output.key_lengths is not None, "a sequence says how many ids each element has"
    if feature.embedding is None:
        return output.values.reshape(-1, 1)
    table = tables[feature.embedding.table]
    return lookup.reference(output.values, output.key_lengths, output.weights, table, feature.embedding.combiner)


def _padded(output: FeatureOutput, elements: np.ndarray, length: int) -> np.ndarray:
    """(rows, length, width), zeros behind the last element of each row."""
    assert output.lengths is not None, "a sequence says how many elements each row has"
    found = np.zeros((len(output.lengths), length, elements.shape[1]), elements.dtype)
    found[np.arange(length)[None, :] < output.lengths[:, None]] = elements
    return found


def item_columns(workload: Workload, request: int | None = None) -> tuple[dict[str, pa.Array], int]:
    """Every raw column with one row per item (request columns repeated), and the number of rows."""
    items = workload.read_items()
    if request is not None:
        items = items.filter(pa.array(request_of(items) == request))
    repeated = workload.read_user().take(pa.array(request_of(items)))
    columns = {name: table.column(name).combine_chunks() for table in (repeated, items) for name in table.column_names}
    columns.pop(REQUEST_COLUMN)
    return columns, items.num_rows


def value_of(feature: Feature, output: FeatureOutput, tables: Mapping[str, np.ndarray]) -> np.ndarray:
    """The graph input of one feature: pooled embedding (rows, dim), number (rows, value_dim), or its only id, int64 (rows, 1)."""
    if feature.embedding is not None:
        assert output.values is not None, "an embedding belongs to ids"
        assert output.lengths is not None, "an embedding belongs to ids"
        table = tables[feature.embedding.table]
        return lookup.reference(output.values, output.lengths, output.weights, table, feature.embedding.combiner)
    if output.dense is not None:
        return output.dense.reshape(len(output.dense), -1)
    assert output.values is not None, "a feature has ids or numbers"
    return output.values.reshape(-1, 1)
