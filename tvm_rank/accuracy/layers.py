"""The dense layers of a model in one precision: which can be reduced, and what each loses by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relay_passes.reduce_dense import DenseLayer, Reduction
from te_schedules.gpu.rounded import LARGEST_FP16
from tvm_rank.accuracy.factors import Judged, judge
from tvm_rank.ops.table_rows import FP32
from tvm_rank.precision import FIRST, LAST

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "tf32": 4, "int8": 1}


class ReducedLayers:
    """layers: all dense layers of the graph · precision: what they are reduced to, fp32 for none of them · keep: as `Precision.keep` ·
    inputs: what layers were given by samples, by their mark."""

    def __init__(
        self,
        layers: Sequence[DenseLayer],
        precision: str,
        keep: Sequence[int | str],
        inputs: Mapping[bytes, np.ndarray],
    ):
        self._layers, self.precision = layers, precision
        self._judged: dict[int, Judged] = {
            layer.number: judge(inputs.get(layer.mark, np.zeros((0, layer.depth), np.float32)), layer.weight, precision)
            for layer in layers
            if precision != FP32 and layer.weight is not None and not _is_kept(layer, keep)
        }

    def reductions(self, kept: frozenset[int] = frozenset()) -> dict[int, Reduction]:
        """What becomes of each layer but those in `kept`."""
        return {n: Reduction(self.precision, one.factors) for n, one in self._judged.items() if n not in kept}

    def worst(self, kept: frozenset[int] = frozenset()) -> int:
        """The number of the layer, of those that are reduced, that errs most."""
        return max(self.reductions(kept), key=lambda number: self._judged[number].error)

    def size(self, number: int) -> str:
        """Inputs and outputs of a layer, as text."""
        layer = next(one for one in self._layers if one.number == number)
        return f"{layer.depth}x{layer.units}"

    def too_large(self) -> str:
        """Which weight the precision cannot hold, if it is fp16; "" when it can hold all."""
        for layer in self._layers if self.precision == "fp16" else ():
            most = 0.0 if layer.weight is None or layer.number not in self._judged else float(np.abs(layer.weight).max(initial=0))
            if most > LARGEST_FP16:
                what = f"layer {layer.number} ({layer.depth}x{layer.units} {layer.activation}) has a weight of {most:.6g}"
                return (
                    f"precision 'fp16': {what}, the largest that fp16 can hold is {LARGEST_FP16:.0f}; keep it with "
                    f"Precision(keep=({layer.number},)), or take 'bf16' or 'tf32'"
                )
        return ""

    def described(self, kept: frozenset[int] = frozenset()) -> list[dict[str, Any]]:
        """What the manifest says of each layer."""
        reduced = {n: one for n, one in self._judged.items() if n not in kept}
        precisions = {layer.number: self.precision if layer.number in reduced else FP32 for layer in self._layers}
        return [
            {
                "layer": f"{layer.depth}x{layer.units} {layer.activation}",
                "precision": (precision := precisions[layer.number]),
                "why": "" if precision == self.precision else layer.stays or "kept",
                "bytes": layer.depth * layer.units * _BYTES[precision],
                "error": reduced[layer.number].error if layer.number in reduced else 0.0,
            }
            for layer in self._layers
        ]


def _is_kept(layer: DenseLayer, keep: Sequence[int | str]) -> bool:
    return layer.number in keep or (FIRST in keep and layer.is_first) or (LAST in keep and layer.is_last)
