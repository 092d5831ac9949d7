"""What feature generation gives back for one feature, and an engine for one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import float32, int32, int64
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FeatureOutput:
    """One feature for all rows of a batch: ragged ids, dense numbers, or ragged texts; what does not apply is None.

    values (nnz,) int64 · lengths (rows,) int32 · key_lengths (elements,) int32, the ids of each element of a sequence ·
    weights (nnz,) float32 · dense (rows, value_dim) float32 · texts: an Arrow array list<string> of `rows` rows

        row 0 has the ids 7 and 2, row 1 none, row 2 the id 5:   values = [7 2 5]   lengths = [2 0 1]
    """

    values: NDArray[int64] | None = None
    lengths: NDArray[int32] | None = None
    key_lengths: NDArray[int32] | None = None
    weights: NDArray[float32] | None = None
    dense: NDArray[float32] | None = None
    texts: pa.ListArray | None = None


class Scores(dict[str, np.ndarray]):
    """{ONNX output name: array with N rows}. `missing`: the numbers of the items, of N, whose ids the item store does not have, and which
    were scored with the defaults of all features; empty without a store."""

    missing: NDArray[int64] = np.zeros(0, np.int64)
