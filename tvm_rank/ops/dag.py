"""All features of a configuration by their references, those that read other features included."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tvm_rank.config.dag import in_order
from tvm_rank.config.spec import CONST, FEATURE, Feature, FeatureConfig, Field
from tvm_rank.ops.references import reference
from tvm_rank.output import FeatureOutput


def references(config: FeatureConfig, columns: Mapping[str, pa.Array], rows: int) -> dict[str, FeatureOutput]:
    """What the definitions say of all features over these columns, stubs left out.

    What a feature reads of another one: its texts if it has no bucketizer, one a row as a text and several as a list; its ids as
    list<int64>; its numbers as float32, or a list of them if they are several. A constant is a text. Weights are not read.
    """
    made: dict[str, pa.Array] = {}
    outputs = {}
    for feature in in_order(config.features):
        outputs[feature.name] = reference(feature, [_input(f, columns, made) for f in feature.fields], rows, config.hash_function)
        made[feature.name] = as_column(feature, outputs[feature.name])
    return {feature.name: outputs[feature.name] for feature in config.features if not feature.stub}


def _input(field: Field, columns: Mapping[str, pa.Array], made: Mapping[str, pa.Array]) -> pa.Array:
    if field.side == CONST:
        return pa.array([field.name], pa.string())
    return made[field.name] if field.side == FEATURE else columns[field.name]


def as_column(feature: Feature, output: FeatureOutput) -> pa.Array:
    """The values of a feature as the column that another one reads."""
    if output.dense is not None:
        flat = pa.array(output.dense.reshape(-1), pa.float32())
        return flat if output.dense.shape[1] == 1 else _lists(flat, np.full(len(output.dense), output.dense.shape[1]))
    assert output.values is not None, "a feature gives numbers, ids or texts"
    assert output.lengths is not None, "a feature gives numbers, ids or texts"
    if not feature.yields_texts:
        return _lists(pa.array(output.values, pa.int64()), output.lengths)
    texts = _lists(pa.array(list(output.values), pa.binary()).view(pa.string()), output.lengths)
    if feature.value_dim != 1:
        return texts
    first = [row[0].as_py() if row.is_valid and len(row) else None for row in texts.cast(pa.list_(pa.binary()))]
    return pa.array(first, pa.binary()).view(pa.string())


def _lists(values: pa.Array, lengths: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths]), pa.int32()), values)
