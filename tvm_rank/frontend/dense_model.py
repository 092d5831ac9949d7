"""What the importer hands to the passes: the dense model as Relax, and how its inputs and outputs are called in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import tvm


@dataclass(frozen=True, kw_only=True)
class ModelLookup:
    """A lookup that the file spells out: rows of one of its tables by its int64 input `ids`.

    combiner `first`: one row for each id · `sum`, `mean`, `max`: the rows of `filled` ids pooled, of which those that a request does not
    give are 0; `filled` 0: all ids of a row, of which there may be none.
    """

    ids: str
    table: str
    combiner: str
    filled: int = 0


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """One graph input. `shape` leaves the batch axis out: (569,) for float (N, 569), () for int64 (N), (50, 32) for (N, 50, 32).

    `rows` is set for an int64 input that indexes constant tables inside the model: the row count of the smallest one, so that
    ids of a larger id space can be refused before they read outside of it. `lookup` is set where the input stands for a lookup that
    was taken out of the file. `bag` is set for the inputs of a bag of ids, not of N rows: the name of that with the ids; the other int64
    one has where each bag begins, the float32 one the weights; `needs_an_id`: the model has no number for a bag without ids.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    rows: int | None = None
    lookup: ModelLookup | None = None
    bag: str = ""
    needs_an_id: bool = False


@dataclass(frozen=True, kw_only=True)
class DenseModel:
    """An imported ONNX model.

    `mod["main"]` takes one tensor per entry of `inputs`, in that order, each (N, *shape) with the same symbolic int64 N, and
    returns a tuple with one tensor (N, ...) per entry of `outputs`. Weights are constants. `source` names the file in messages.
    `given` are the inputs as the file has them, before lookups were taken out of it; `tables` what those read, (rows, d) by name.
    """

    source: str
    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...]
    mod: tvm.IRModule
    given: tuple[ModelInput, ...] = ()
    tables: Mapping[str, np.ndarray] = field(default_factory=dict)
