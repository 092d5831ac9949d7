"""Features as Arrow columns, of types that a trainer reads.

ids                     <feature>  list<int64>; int64 where the configuration gives each row exactly one id
weights                 <feature>__weights  list<float>, as long as the ids
numbers                 <feature>  float, or fixed_size_list<float> of its width
lengths (when asked)    <feature>__lengths  int32: ids of the row; of a sequence, its elements
sequence, many ids      <feature>__key_lengths  list<int32>: the ids of each element
sequence of numbers     <feature>  list<float>, or list<fixed_size_list<float>>
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Feature
from tvm_rank.errors import InputError
from tvm_rank.output import FeatureOutput

WEIGHTS, LENGTHS, KEY_LENGTHS = "__weights", "__lengths", "__key_lengths"
LARGEST_OFFSET = 2**31 - 1
ONE_ID = ("IdFeature", "ComboFeature", "RawFeature", "OverlapFeature")  # types whose value_dim 1 keeps one id of a row


def has_one_id(feature: Feature) -> bool:
    """Whether the configuration alone says that each row has exactly one id."""
    if type(feature).__name__ not in ONE_ID or feature.bucketizer is None or feature.value_dim != 1:
        return False
    return bool(feature.default_value) and not getattr(feature, "weighted", False)


@dataclass(frozen=True, kw_only=True)
class FeatureColumns:
    """How one feature is written; `encode` gives its columns by name."""

    name: str
    one_id: bool
    with_lengths: bool

    def encode(self, output: FeatureOutput, rows: int) -> dict[str, pa.Array]:
        """The columns of the feature for a batch of `rows` rows."""
        if output.dense is not None:
            return self._dense(output, output.dense)
        if output.texts is not None:
            return self._texts(output, output.texts)
        values, lengths = _required(output.values), _required(output.lengths)
        if self.one_id and output.key_lengths is None:
            assert len(values) == rows == len(lengths), f"{self.name}: {len(values)} ids of {rows} rows"
            return {self.name: pa.array(values)} | self._lengths(lengths)
        columns = {}
        if output.key_lengths is None:
            offsets = _offsets(lengths, self.name)
        else:
            elements = _offsets(lengths, self.name)
            ends = _offsets(output.key_lengths, self.name)
            offsets = ends[elements]
            columns[f"{self.name}{KEY_LENGTHS}"] = _lists(elements, pa.array(output.key_lengths))
        columns = {self.name: _lists(offsets, pa.array(values))} | columns
        if output.weights is not None:
            columns[f"{self.name}{WEIGHTS}"] = _lists(offsets, pa.array(output.weights))
        return columns | self._lengths(lengths)

    def _dense(self, output: FeatureOutput, dense: np.ndarray) -> dict[str, pa.Array]:
        flat = pa.array(np.ascontiguousarray(dense).reshape(-1))
        width = dense.shape[1] if dense.ndim > 1 else 1
        numbers = pa.FixedSizeListArray.from_arrays(flat, width) if width != 1 else flat
        if output.lengths is None:
            return {self.name: numbers}
        return {self.name: _lists(_offsets(output.lengths, self.name), numbers)} | self._lengths(output.lengths)

    def _texts(self, output: FeatureOutput, texts: pa.ListArray) -> dict[str, pa.Array]:
        lengths = _required(output.lengths)
        columns: dict[str, pa.Array] = {self.name: texts}
        if output.weights is not None:
            columns[f"{self.name}{WEIGHTS}"] = _lists(_offsets(lengths, self.name), pa.array(output.weights))
        return columns | self._lengths(lengths)

    def _lengths(self, lengths: np.ndarray) -> dict[str, pa.Array]:
        return {f"{self.name}{LENGTHS}": pa.array(lengths)} if self.with_lengths else {}


def _required(array: np.ndarray | None) -> np.ndarray:
    assert array is not None
    return array


def _offsets(lengths: np.ndarray, name: str) -> np.ndarray:
    """(rows + 1,) int32: where the list of each row begins, and the end."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    total = int(lengths.sum(dtype=np.int64))
    if total > LARGEST_OFFSET:
        raise InputError(f"feature {name!r}: {total:,} ids in a batch, more than a list column holds; give a smaller --batch-rows")
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _lists(offsets: np.ndarray, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def plan_columns(features: Sequence[Feature], *, with_lengths: bool) -> tuple[FeatureColumns, ...]:
    """How each feature is written; stubs, which other features read, are not."""
    written = [feature for feature in features if not feature.stub]
    return tuple(FeatureColumns(name=f.name, one_id=has_one_id(f), with_lengths=with_lengths) for f in written)


def encode(
    plan: Sequence[FeatureColumns], outputs: Mapping[str, FeatureOutput], kept: Mapping[str, pa.Array], rows: int
) -> dict[str, pa.Array]:
    """All columns of a batch: those that are copied, then the features. Raises InputError when two have one name."""
    columns = dict(kept)
    for feature in plan:
        for name, array in feature.encode(outputs[feature.name], rows).items():
            if name in columns:
                raise InputError(f"output column {name!r}: there are two of this name; rename the feature or the column")
            columns[name] = array
    return columns
