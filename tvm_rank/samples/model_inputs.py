"""What the dense model is fed, from what the references say of the features: pooling, padding and concatenation in plain array code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tvm_rank.config.spec import Feature
from tvm_rank.frontend.binding import Binding
from tvm_rank.ops import lookup
from tvm_rank.output import FeatureOutput

Table = Callable[[str], np.ndarray]
"""The rows (ids, dim) float32 of an embedding table."""


def model_inputs(
    bindings: Sequence[Binding], outputs: Mapping[str, FeatureOutput], rows: int, table: Table
) -> dict[str, np.ndarray]:
    """Graph input -> float32 or int64 (rows, ...), in its shape and dtype."""
    return {b.input.name: _input(b, [outputs[f.name] for f in b.features], rows, table) for b in bindings}


def _input(binding: Binding, made: Sequence[FeatureOutput], rows: int, table: Table) -> np.ndarray:
    entry, parts = binding.input, list(zip(binding.features, made, strict=True))
    if binding.kind == "bag":
        return _of_bag(binding, made[0])
    if binding.kind in ("mask", "length"):
        found = _beside(binding, made[0])
    elif binding.kind == "element_ids":
        assert made[0].key_lengths is not None, "a sequence says how many ids each element has"
        found = _padded(made[0], _first_ids(made[0].values, made[0].key_lengths), entry.shape[0])
    elif binding.kind == "elements":
        found = np.concatenate([_padded(out, _elements(f, out, table), entry.shape[0]) for f, out in parts], axis=2)
    elif binding.kind == "id":
        found = _first_ids(made[0].values, _ids_of_rows(made[0]))
    else:
        found = np.hstack([value_of(f, out, table) for f, out in parts])
    return found.reshape(rows, *entry.shape).astype(entry.dtype)


def _of_bag(binding: Binding, output: FeatureOutput) -> np.ndarray:
    """The ids of all rows one after the other, where each row begins, or the weights of the ids."""
    entry = binding.input
    if entry.name == entry.bag:
        assert output.values is not None, "a bag is of ids"
        return output.values.astype(np.int64)
    if entry.dtype == "float32":
        assert output.weights is not None, "the binding has seen that it is weighted"
        return output.weights
    counts = _ids_of_rows(output).astype(np.int64)
    return np.cumsum(counts) - counts


def _beside(binding: Binding, output: FeatureOutput) -> np.ndarray:
    """How many elements a sequence has, or where it has one."""
    assert output.lengths is not None, "a sequence says how many elements each row has"
    sequence = binding.features[0].sequence
    counts = np.minimum(output.lengths, sequence.length) if sequence and sequence.length else output.lengths
    return counts[:, None] if binding.kind == "length" else np.arange(binding.input.shape[0])[None, :] < counts[:, None]


def value_of(feature: Feature, output: FeatureOutput, table: Table) -> np.ndarray:
    """The part of a float input that a feature is: its pooled embedding (rows, dim), or its numbers (rows, value_dim)."""
    if feature.embedding is not None:
        assert output.values is not None, "an embedding belongs to ids"
        rows = table(feature.embedding.table)
        return lookup.reference(output.values, _ids_of_rows(output), output.weights, rows, feature.embedding.combiner)
    assert output.dense is not None, "a feature without an embedding gives numbers"
    return output.dense.reshape(len(output.dense), -1)


def _ids_of_rows(output: FeatureOutput) -> np.ndarray:
    """How many ids each row has, in all of its elements."""
    assert output.lengths is not None, "ids are ragged"
    if output.key_lengths is None:
        return output.lengths
    ends = np.cumsum([0, *output.key_lengths])[np.cumsum([0, *output.lengths])]
    return np.diff(ends).astype(np.int32)


def _first_ids(values: np.ndarray | None, lengths: np.ndarray) -> np.ndarray:
    """(rows, 1): the first id of each row, 0 where it has none."""
    assert values is not None, "an id is asked for"
    starts = np.cumsum(lengths) - lengths
    return np.where(lengths > 0, np.append(values, 0)[np.minimum(starts, len(values))], 0)[:, None]


def _elements(feature: Feature, output: FeatureOutput, table: Table) -> np.ndarray:
    """Every element of a sequence: (elements, dim) embeddings, or (elements, value_dim) numbers."""
    if feature.embedding is None:
        assert output.dense is not None, "a sequence without an embedding gives numbers"
        return output.dense
    assert output.values is not None, "an embedding belongs to ids"
    assert output.key_lengths is not None, "a sequence says how many ids each element has"
    rows = table(feature.embedding.table)
    return lookup.reference(output.values, output.key_lengths, output.weights, rows, feature.embedding.combiner)


def _padded(output: FeatureOutput, elements: np.ndarray, length: int) -> np.ndarray:
    """(rows, length, width), zeros behind the last element of each row."""
    assert output.lengths is not None, "a sequence says how many elements each row has"
    found = np.zeros((len(output.lengths), length, elements.shape[1]), elements.dtype)
    found[np.arange(length)[None, :] < output.lengths[:, None]] = elements
    return found
