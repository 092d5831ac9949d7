"""The dense layers that are computed in bf16 or int8: by the user's choice, or the fastest within a tolerance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from relay_passes.reduce_dense import DenseLayer, Reduction
from te_schedules.gpu.rounded import LARGEST_FP16
from tvm_rank.accuracy.factors import Judged, judge
from tvm_rank.accuracy.report import Difference, compare
from tvm_rank.accuracy.trial import dense_inputs, scores, seconds, trial
from tvm_rank.artifact.artifact import Artifact
from tvm_rank.errors import PrecisionError, RankError
from tvm_rank.precision import AUTO, FIRST, LAST, TOLERANCE, Precision, Samples

MOST_TRIALS = 4  # of "auto": each keeps one more layer in fp32
_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "tf32": 4, "int8": 1}


class Maker(Protocol):
    """What compiles one model in several ways."""

    def layers(self) -> Sequence[DenseLayer]:
        """The dense layers, in graph order."""

    def artifact(self, reductions: Mapping[int, Reduction]) -> Artifact:
        """The artifact with these layers reduced."""

    @property
    def scored_by(self) -> str:
        """What scores samples in the place of the artifact, which is for another machine; "" for the artifact itself."""

    def scored(self, reductions: Mapping[int, Reduction]) -> Artifact:
        """The artifact that scores them then."""


@dataclass(frozen=True, eq=False)
class _Base:
    """The samples in fp32: scores, what each layer read, seconds of a call."""

    scores: Mapping[str, np.ndarray]
    inputs: Mapping[bytes, np.ndarray]
    seconds: float


def chosen(maker: Maker, wanted: Precision, samples: Samples | None, say: Callable[[str], None]) -> Artifact:
    """The artifact in the precision that is wanted, with what it costs in `manifest.precision`.

    Raises PrecisionError when scores of the samples differ by more than the tolerance, or fp16 cannot hold a weight; RankError when samples
    are needed and missing.
    """
    if wanted.dense == "fp32":
        return maker.artifact({})
    if samples is None and (wanted.dense == AUTO or wanted.tolerance is not None):
        raise RankError(
            f"precision {wanted.dense!r} within a tolerance is judged by requests; give compile(samples=Samples(user=..., items=...))"
        )
    base, exact, scored = None, None, maker.scored if maker.scored_by else maker.artifact
    if samples is not None:
        say("scoring the samples in fp32")
        exact = scored({})
        base = _base(exact, samples)
    plan = _Plan(maker.layers(), wanted, base)
    if wanted.dense == "fp16" and (why := plan.too_large()):
        raise PrecisionError(why)
    if wanted.dense == AUTO and base is not None and exact is not None and samples is not None:
        return _fastest(maker, plan, wanted, base, exact, samples, say)
    reductions = plan.reductions(wanted.dense, frozenset())
    if base is None or samples is None:
        return _noted(maker.artifact(reductions), plan.entry(wanted.dense, frozenset(), None))
    say(f"scoring the samples in {wanted.dense}")
    tried = scored(reductions)
    differences, _ = _tried(tried, base, samples)
    if wanted.tolerance is not None and not _is_within(differences, wanted.tolerance):
        raise PrecisionError(_refusal(wanted, plan, differences, "another precision" if maker.scored_by else "'auto'"))
    made = maker.artifact(reductions) if maker.scored_by else tried
    return _noted(made, {**plan.entry(wanted.dense, frozenset(), differences), "scored_by": maker.scored_by})


def _base(artifact: Artifact, samples: Samples) -> _Base:
    with trial(artifact) as engine:
        return _Base(scores(engine, samples), dense_inputs(engine, samples), seconds(engine, samples))


def _tried(artifact: Artifact, base: _Base, samples: Samples) -> tuple[tuple[Difference, ...], float]:
    """(differences to fp32, seconds of a call)"""
    with trial(artifact) as engine:
        return compare(base.scores, scores(engine, samples), samples.labels), seconds(engine, samples)


def _is_within(differences: Sequence[Difference], tolerance: float) -> bool:
    return all(one.largest <= tolerance and not one.nonfinite for one in differences)


def _fastest(
    maker: Maker, plan: _Plan, wanted: Precision, base: _Base, exact: Artifact, samples: Samples, say: Callable[[str], None]
) -> Artifact:
    """int8 with as few layers in fp32 as the tolerance asks for, if that is faster than fp32."""
    tolerance = TOLERANCE if wanted.tolerance is None else wanted.tolerance
    kept: frozenset[int] = frozenset()
    for _ in range(MOST_TRIALS):
        if not (reductions := plan.reductions("int8", kept)):
            break
        say(f"scoring the samples with {len(reductions)} dense layers in int8")
        made = maker.artifact(reductions)
        differences, taken = _tried(made, base, samples)
        if _is_within(differences, tolerance):
            return _noted(made, plan.entry("int8", kept, differences)) if taken < base.seconds else exact
        kept |= {max(reductions, key=lambda number: plan.judged["int8"][number].error)}
    return exact


class _Plan:
    """Which layers can be reduced, and what each loses by it."""

    def __init__(self, layers: Sequence[DenseLayer], wanted: Precision, base: _Base | None):
        self.layers = layers
        inputs = {} if base is None else base.inputs
        precisions = ("int8",) if wanted.dense == AUTO else (wanted.dense,)
        self.judged: dict[str, dict[int, Judged]] = {
            precision: {
                layer.number: judge(inputs.get(layer.mark, np.zeros((0, layer.depth), np.float32)), layer.weight, precision)
                for layer in layers
                if layer.weight is not None and not _is_kept(layer, wanted.keep)
            }
            for precision in precisions
        }

    def reductions(self, precision: str, kept: frozenset[int]) -> dict[int, Reduction]:
        return {n: Reduction(precision, one.factors) for n, one in self.judged[precision].items() if n not in kept}

    def too_large(self) -> str:
        """Which weights fp16 cannot hold; "" when it can hold all."""
        for layer in self.layers:
            if layer.weight is None or layer.number not in self.judged["fp16"]:
                continue
            if (most := float(np.abs(layer.weight).max(initial=0))) > LARGEST_FP16:
                shape = f"{layer.depth}x{layer.units} {layer.activation}"
                return (
                    f"precision 'fp16': layer {layer.number} ({shape}) has a weight of {most:.6g}, the largest that fp16 can hold is "
                    f"{LARGEST_FP16:.0f}; keep it with Precision(keep=({layer.number},)), or take 'bf16' or 'tf32'"
                )
        return ""

    def entry(self, precision: str, kept: frozenset[int], differences: Sequence[Difference] | None) -> dict[str, Any]:
        """What the manifest says."""
        reduced = {n: one for n, one in self.judged[precision].items() if n not in kept}
        layers = [
            {
                "layer": f"{layer.depth}x{layer.units} {layer.activation}",
                "precision": precision if layer.number in reduced else "fp32",
                "why": "" if layer.number in reduced else layer.stays or "kept",
                "bytes": layer.depth * layer.units * _BYTES[precision if layer.number in reduced else "fp32"],
                "error": reduced[layer.number].error if layer.number in reduced else 0.0,
            }
            for layer in self.layers
        ]
        return {"dense": precision, "layers": layers, "differences": [asdict(one) for one in differences or ()]}


def _is_kept(layer: DenseLayer, keep: Sequence[int | str]) -> bool:
    return layer.number in keep or (FIRST in keep and layer.is_first) or (LAST in keep and layer.is_last)


def _noted(artifact: Artifact, entry: Mapping[str, Any]) -> Artifact:
    return dataclasses.replace(artifact, manifest=dataclasses.replace(artifact.manifest, precision=entry))


def _refusal(wanted: Precision, plan: _Plan, differences: Sequence[Difference], other: str) -> str:
    worst = max(differences, key=lambda one: (one.nonfinite, one.largest))
    judged = plan.judged[wanted.dense]
    number = max(judged, key=lambda n: judged[n].error)
    layer = next(one for one in plan.layers if one.number == number)
    found = f"{worst.nonfinite} scores are not finite" if worst.nonfinite else f"a score differs by {worst.largest:.3g}"
    return (
        f"precision {wanted.dense!r}: {found} (output {worst.output!r}, mean {worst.mean:.3g}, rank correlation "
        f"{worst.rank_correlation:.5f}), allowed is {wanted.tolerance:.3g}; layer {number} ({layer.depth}x{layer.units}) errs most, keep "
        f"it with Precision(keep=({number},)), or take {other}"
    )
