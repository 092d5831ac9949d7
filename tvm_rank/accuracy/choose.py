"""The precision of dense layers and tables: the user's choice, or the fastest within a tolerance."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from relay_passes.reduce_dense import DenseLayer, Reduction
from tvm_rank.accuracy.layers import ReducedLayers
from tvm_rank.accuracy.report import Difference, compare
from tvm_rank.accuracy.trial import dense_inputs, scores, seconds_in_turns, trial
from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.manifest import StackEntry
from tvm_rank.errors import ModelError, PrecisionError, RankError, TargetError
from tvm_rank.ops.table_rows import FP32
from tvm_rank.precision import AUTO, TOLERANCE, Precision, Samples
from tvm_rank.runtime.engine import Engine

MOST_TRIALS = 4  # of "auto" in one precision: each keeps one more layer in fp32
TRIED_TABLES = ("fp16", "int8", "int4")  # by "auto", each coarser than the one before; bf16 has the size of fp16, and errs more
AS_FAST = 1.02  # times the fastest: what clocks cannot tell apart, so that the smaller tables are taken


class Maker(Protocol):
    """What compiles one model in several ways."""

    @property
    def table_precisions(self) -> Mapping[str, str]:
        """Of each table; AUTO where it is to be chosen."""

    @property
    def dense_precisions(self) -> Sequence[str]:
        """Those below fp32 that the target may gain by."""

    def layers(self) -> Sequence[DenseLayer]:
        """The dense layers, in graph order."""

    def with_tables(self, precisions: Mapping[str, str]) -> Maker:
        """The same with tables in these precisions."""

    def artifact(self, reductions: Mapping[int, Reduction]) -> Artifact:
        """The artifact with these layers reduced."""

    @property
    def scored_by(self) -> str:
        """What scores samples in the place of the artifact, which is for another machine; "" for the artifact itself."""

    def scored(self, reductions: Mapping[int, Reduction]) -> Artifact:
        """The artifact that scores them then."""


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A model in one precision, loaded. differences: to the scores in fp32."""

    tables: Mapping[str, str]
    dense: ReducedLayers
    kept: frozenset[int]
    artifact: Artifact
    engine: Engine
    differences: tuple[Difference, ...]
    close: Callable[[], None]  # removes its files, which hold the tables

    def is_within(self, tolerance: float) -> bool:
        """Whether no score differs by more."""
        return all(one.largest <= tolerance and not one.nonfinite for one in self.differences)


def chosen(maker: Maker, wanted: Precision, samples: Samples | None, say: Callable[[str], None]) -> Artifact:
    """The artifact in the precision that is wanted, with what it costs in `manifest.precision`.

    Raises PrecisionError when scores of the samples differ by more than the tolerance, or fp16 cannot hold a weight; RankError when samples
    are needed and missing.
    """
    tables = maker.table_precisions
    is_exact = wanted.dense == FP32 and all(precision == FP32 for precision in tables.values())
    is_open = wanted.dense == AUTO or AUTO in tables.values()
    if is_open and maker.scored_by:
        raise TargetError("precision 'auto' is timed, and this machine is not the target's; name a precision, and a tolerance")
    if samples is None and (is_open or (wanted.tolerance is not None and not is_exact)):
        what = repr(wanted.dense) if wanted.dense != FP32 else f"of tables {', '.join(sorted({*tables.values()} - {FP32}))!r}"
        raise RankError(
            f"precision {what} within a tolerance is judged by requests; give compile(samples=Samples(user=..., "
            "items=...)), or --sample-user and --sample-items"
        )
    if maker.scored_by and wanted.dense == FP32 and wanted.tolerance is None:
        samples = None  # tables are read alike everywhere
    if samples is None or is_exact:
        layers = _possible(ReducedLayers(maker.layers() if wanted.dense != FP32 else (), wanted.dense, wanted.keep, {}))
        made = maker.artifact(layers.reductions())
        return made if wanted.dense == FP32 else _noted(made, _entry(layers, frozenset(), ()))
    with contextlib.ExitStack() as engines:
        found = _Search(maker, wanted, samples, say, engines).found()
        made = found.artifact
        if maker.scored_by:
            made = maker.with_tables(found.tables).artifact(found.dense.reductions(found.kept))
        if found.dense.precision == FP32 and found.tables == _exact(tables):
            return made
        return _noted(made, {**_entry(found.dense, found.kept, found.differences), "scored_by": maker.scored_by})


class _Search:
    """Candidates by samples; those within the tolerance stay loaded until `engines` closes, to be timed in turns."""

    def __init__(
        self, maker: Maker, wanted: Precision, samples: Samples, say: Callable[[str], None], engines: contextlib.ExitStack
    ):
        self._maker, self._wanted, self._samples, self._say, self._engines = maker, wanted, samples, say, engines
        self._layers = maker.layers()
        none = ReducedLayers(self._layers, FP32, (), {})
        say("scoring the samples in fp32")
        tables = _exact(maker.table_precisions)
        artifact = self._made(tables, {})
        engine = engines.enter_context(trial(artifact))
        self._scores = scores(engine, samples)
        self._inputs = dense_inputs(engine, samples)
        self._exact = _Candidate(tables, none, frozenset(), artifact, engine, compare(self._scores, self._scores), lambda: None)

    def found(self) -> _Candidate:
        """What was asked for, judged; what is "auto" is chosen for dense layers first, then, with those, for tables."""
        wanted, tables = self._wanted, self._maker.table_precisions
        fixed = {name: FP32 if precision == AUTO else precision for name, precision in tables.items()}
        dense = self._reduced(FP32 if wanted.dense == AUTO else wanted.dense)
        one = self._candidate(fixed, dense)
        is_judged = wanted.tolerance is not None or AUTO in (wanted.dense, *tables.values())
        if is_judged and not one.is_within(self._tolerance):
            raise PrecisionError(_refusal(one, self._tolerance, "another precision" if self._maker.scored_by else "'auto'"))
        if wanted.dense == AUTO:
            one = self._with_dense(one)
        return self._with_tables(one) if AUTO in tables.values() else one

    @property
    def _tolerance(self) -> float:
        return TOLERANCE if self._wanted.tolerance is None else self._wanted.tolerance

    def _reduced(self, precision: str) -> ReducedLayers:
        return _possible(ReducedLayers(self._layers, precision, self._wanted.keep, self._inputs))

    def _made(self, tables: Mapping[str, str], reductions: Mapping[int, Reduction]) -> Artifact:
        """What scores the samples."""
        maker = self._maker.with_tables(tables)
        return maker.scored(reductions) if maker.scored_by else maker.artifact(reductions)

    def _candidate(self, tables: Mapping[str, str], dense: ReducedLayers, kept: frozenset[int] = frozenset()) -> _Candidate:
        reductions = dense.reductions(kept)
        if not reductions and tables == self._exact.tables:
            return dataclasses.replace(self._exact, dense=dense)
        what = [f"{len(reductions)} dense layers in {dense.precision}"] if reductions else []
        what += [f"tables in {', '.join(sorted({*tables.values()}))}"] if tables != self._exact.tables else []
        self._say(f"scoring the samples with {' and '.join(what)}")
        artifact = self._made(tables, reductions)
        with contextlib.ExitStack() as opened:
            engine = opened.enter_context(trial(artifact))
            differences = compare(self._scores, scores(engine, self._samples), self._samples.labels)
            close = self._engines.enter_context(opened.pop_all()).close
        return _Candidate(tables, dense, kept, artifact, engine, differences, close)

    def _with_dense(self, start: _Candidate) -> _Candidate:
        """The fastest of `start` and each precision with as few layers in fp32 as the tolerance asks for."""
        found = [start]
        for precision in self._maker.dense_precisions:
            dense, kept = self._reduced(precision), frozenset[int]()
            for _ in range(MOST_TRIALS):
                if not dense.reductions(kept):
                    break
                one = self._candidate(start.tables, dense, kept)
                if one.is_within(self._tolerance):
                    found.append(one)
                    break
                one.close()
                kept |= {dense.worst(kept)}
        return self._fastest(found, 1.0)

    def _with_tables(self, start: _Candidate) -> _Candidate:
        """The fastest of `start` and each precision of the tables that are "auto"; of those as fast, the smallest."""
        found = [start]
        for precision in TRIED_TABLES:
            tables = {n: precision if p == AUTO else start.tables[n] for n, p in self._maker.table_precisions.items()}
            try:
                one = self._candidate(tables, start.dense, start.kept)
            except ModelError as error:  # numbers that this precision does not have
                self._say(f"no tables in {precision}: {error}")
                continue
            if not one.is_within(self._tolerance):
                break
            found.append(one)
        return self._fastest(found, AS_FAST)

    def _fastest(self, found: Sequence[_Candidate], as_fast: float) -> _Candidate:
        """The last of those that take at most `as_fast` times what the fastest takes."""
        if len(found) == 1:
            return found[0]
        self._say(f"timing {len(found)} precisions")
        seconds = seconds_in_turns([one.engine for one in found], self._samples)
        return [one for one, taken in zip(found, seconds, strict=True) if taken <= as_fast * min(seconds)][-1]


def _exact(tables: Mapping[str, str]) -> dict[str, str]:
    return dict.fromkeys(tables, FP32)


def _possible(layers: ReducedLayers) -> ReducedLayers:
    if why := layers.too_large():
        raise PrecisionError(why)
    return layers


def _entry(dense: ReducedLayers, kept: frozenset[int], differences: Sequence[Difference]) -> dict[str, Any]:
    return {"dense": dense.precision, "layers": dense.described(kept), "differences": [asdict(one) for one in differences]}


def _noted(artifact: Artifact, entry: Mapping[str, Any]) -> Artifact:
    return dataclasses.replace(artifact, manifest=dataclasses.replace(artifact.manifest, precision=entry))


def _refusal(one: _Candidate, tolerance: float, other: str) -> str:
    worst = max(one.differences, key=lambda difference: (difference.nonfinite, difference.largest))
    found = f"{worst.nonfinite} scores are not finite" if worst.nonfinite else f"a score differs by {worst.largest:.3g}"
    advice = []
    if one.dense.reductions():
        number = one.dense.worst()
        size = one.dense.size(number)
        advice.append(f"layer {number} ({size}) errs most, keep it with Precision(keep=({number},)), or take {other}")
    if reduced := _errors(one.engine.manifest.stacks):
        name = max(reduced, key=lambda table: reduced[table])
        advice.append(
            f"table {name!r} errs most, {reduced[name]:.2g} of its numbers; keep it with "
            f"table_precision={{{name!r}: 'fp32', '*': {one.tables[name]!r}}}, or take {other}"
        )
    precision = one.dense.precision if one.dense.reductions() else ", ".join(sorted({*one.tables.values()} - {FP32}))
    return (
        f"precision {precision!r}: {found} (output {worst.output!r}, mean {worst.mean:.3g}, rank correlation "
        f"{worst.rank_correlation:.5f}), allowed is {tolerance:.3g}; {'; '.join(advice)}"
    )


def _errors(stacks: Sequence[StackEntry]) -> dict[str, float]:
    """The relative error of each table below fp32."""
    return {name: table.relative_error for stack in stacks if stack.precision != FP32 for name, table in stack.tables.items()}
