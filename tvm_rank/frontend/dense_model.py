"""What the importer hands to the passes: the dense model as Relax, and how its inputs and outputs are called in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """One graph input. `shape` leaves the batch axis out: (569,) for float (N, 569), () for int64 (N), (50, 32) for (N, 50, 32).

    `rows` is set for an int64 input that indexes constant tables inside the model: the row count of the smallest one, so that
    ids of a larger id space can be refused before they read outside of it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class DenseModel:
    """An imported ONNX model.

    `mod["main"]` takes one tensor per entry of `inputs`, in that order, each (N, *shape) with the same symbolic int64 N, and
    returns a tuple with one tensor (N, ...) per entry of `outputs`. Weights are constants. `source` names the file in messages.
    """

    source: str
    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...]
    mod: tvm.IRModule
