"""All features of a configuration by their references, those that read other features included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from tvm_rank.config.dag import in_order
from tvm_rank.config.spec import CONST, FEATURE, Feature, FeatureConfig, Field
from tvm_rank.ops.references import reference
from tvm_rank.output import FeatureOutput

LIBRARIES = ("regex_replace_feature", "text_normalizer")  # they make one text of one text


def references(config: FeatureConfig, columns: Mapping[str, pa.Array], rows: int) -> dict[str, FeatureOutput]:
    """What the definitions say of all features over these columns, stubs left out.

    What a feature reads of another one: its texts if it has no bucketizer, one a row as a text and several as a list; its ids as
    list<int64>; its numbers as float32, or a list of them if they are several. What a stub of a library makes of a text is a text, and
    of a list a list, unless it is a regex_replace_feature with a value_dim other than 1: that is a list. A sequence is a list of these,
    whose values are one list for a feature that does not read it element by element. A constant is a text. Weights are not read.
    """
    made: dict[str, pa.Array] = {}
    outputs = {}
    for feature in in_order(config.features):
        inputs = [_input(feature, f, columns, made) for f in feature.fields]
        outputs[feature.name] = reference(feature, inputs, rows, config.hash_function)
        made[feature.name] = as_column(feature, outputs[feature.name], is_list=_is_list(feature, inputs))
    return {f.name: _shown(f, outputs[f.name]) for f in config.features if not f.stub}


def _shown(feature: Feature, output: FeatureOutput) -> FeatureOutput:
    """The result as a program gives it: texts are an Arrow list<string>, those of all elements of a row in one list."""
    if not feature.yields_texts:
        return output
    assert output.values is not None, "texts are values until here"
    assert output.lengths is not None, "texts are ragged"
    lengths = output.lengths
    if feature.sequence is not None:
        assert output.key_lengths is not None, "a sequence says how many texts each element has"
        ends = np.cumsum([0, *output.key_lengths])[np.cumsum([0, *output.lengths])]
        lengths = np.diff(ends).astype(np.int32)
    texts = _lists(pa.array(list(output.values), pa.binary()).view(pa.string()), lengths)
    return FeatureOutput(texts=texts, lengths=lengths, weights=output.weights)


def _input(feature: Feature, field: Field, columns: Mapping[str, pa.Array], made: Mapping[str, pa.Array]) -> pa.Array:
    if field.side == CONST:
        return pa.array([field.name], pa.string())
    if field.side != FEATURE:
        return columns[field.name]
    column = made[field.name]
    is_nested = pa.types.is_list(column.type) and pa.types.is_list(column.type.value_type)
    return _flattened(column) if is_nested and not feature.reads_elements(field) else column


def _is_list(feature: Feature, inputs: Sequence[pa.Array]) -> bool | None:
    """Whether a row of a feature's texts is a list, where its input says so and not its value_dim: a library keeps the form of a column."""
    if not feature.stub or feature.stem not in LIBRARIES or (feature.stem == "regex_replace_feature" and feature.value_dim != 1):
        return None
    kind = inputs[0].type
    if feature.sequence is not None and pa.types.is_list(kind):
        kind = kind.value_type
    return pa.types.is_list(kind)


def as_column(feature: Feature, output: FeatureOutput, *, is_list: bool | None = None) -> pa.Array:
    """The values of a feature as the column that another one reads. is_list: of texts, whether a row is a list; None: as value_dim says."""
    if feature.sequence is not None:
        return _sequence_column(feature, output, is_list)
    if output.dense is not None:
        flat = pa.array(output.dense.reshape(-1), pa.float32())
        return flat if output.dense.shape[1] == 1 else _lists(flat, np.full(len(output.dense), output.dense.shape[1]))
    assert output.values is not None, "a feature gives numbers, ids or texts"
    assert output.lengths is not None, "a feature gives numbers, ids or texts"
    if not feature.yields_texts:
        return _lists(pa.array(output.values, pa.int64()), output.lengths)
    texts = _lists(pa.array(list(output.values), pa.binary()).view(pa.string()), output.lengths)
    if feature.value_dim != 1 if is_list is None else is_list:
        return texts
    first = [row[0].as_py() if row.is_valid and len(row) else None for row in texts.cast(pa.list_(pa.binary()))]
    return pa.array(first, pa.binary()).view(pa.string())


def _lists(values: pa.Array, lengths: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths]), pa.int32()), values)


def _sequence_column(feature: Feature, output: FeatureOutput, is_list: bool | None) -> pa.Array:
    """The elements of each row: a list of what `as_column` makes of each."""
    elements = as_column(replace(feature, sequence=None), replace(output, lengths=output.key_lengths), is_list=is_list)
    assert output.lengths is not None, "a sequence says how many elements each row has"
    return _lists(elements, output.lengths)


def _flattened(column: pa.Array) -> pa.Array:
    """A list of lists as a list of all values."""
    inner = column.values
    ends = inner.offsets.take(column.offsets)
    return pa.ListArray.from_arrays(ends, inner.values)
