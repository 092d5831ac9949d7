"""The samples of an artifact: requests, the scores that they must have, and what is said of them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.samples import GENERATED, GIVEN, SampleRequests, SamplesEntry
from tvm_rank.config.spec import CONST, FEATURE, Feature, FeatureConfig
from tvm_rank.errors import InputError
from tvm_rank.frontend.binding import Binding
from tvm_rank.frontend.tables import Stack
from tvm_rank.host.before import with_inputs
from tvm_rank.host.link import needed_columns
from tvm_rank.host.stage import ITEM, REQUEST
from tvm_rank.ops.dag import references
from tvm_rank.output import FeatureOutput
from tvm_rank.precision import Samples
from tvm_rank.runtime.columns import FieldUse
from tvm_rank.samples.expected import Definition, NoScores, expected_scores
from tvm_rank.samples.generate import CONSTANT
from tvm_rank.samples.requests import Columns, first_requests, generated_requests, item_rows
from tvm_rank.samples.wanted import wanted_columns

TOLERANCE = 1e-4  # of fp32: sums in another order
UNJUDGED = {"bf16": 0.02, "fp16": 0.005, "tf32": 0.005, "int8": 0.05}  # of dense layers that no samples were scored with
SLACK = 2.0  # times the largest difference that was seen: other machines round other numbers of the same samples


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampled:
    """What samples are made for: the configuration as it was given, the bindings of the model's inputs, and where the numbers are; `uses`:
    the fields that the kernels of the model read; `model_tables`: the tables that were inside of the model;
    `items`: the columns of the store's items by name, under the key column `key`."""

    config: FeatureConfig
    bindings: Sequence[Binding]
    stacks: Sequence[Stack]
    tables: Mapping[str, np.ndarray]
    model: Any
    uses: Sequence[FieldUse]
    model_tables: tuple[str, ...] = ()
    items: Mapping[str, pa.Array] | None = None
    key: str = ""

    def definition(self, artifact: Artifact) -> Definition:
        """What the scores are computed from."""
        by_name = {feature.name: feature for feature in self.config.features}
        bound = tuple(
            dataclasses.replace(binding, features=tuple(by_name[feature.name] for feature in binding.features))
            for binding in self.bindings
        )
        needed = with_inputs((feature.name for binding in bound for feature in binding.features), by_name)
        config = dataclasses.replace(self.config, features=tuple(f for f in self.config.features if f.name in needed))
        return Definition(
            config=config,
            bindings=bound,
            stacks=self.stacks,
            tables=self.tables,
            model=self.model,
            model_tables=self.model_tables,
            outputs=artifact.manifest.output_shapes,
        )

    def columns(self, artifact: Artifact) -> Columns:
        """The columns that requests bring."""
        manifest = artifact.manifest

        def needed(side: str) -> tuple[str, ...]:
            read = dict.fromkeys(use.name for use in self.uses if use.is_request == (side == REQUEST))
            return needed_columns(manifest.links, manifest.host_stages, read, side)

        return Columns(user=needed(REQUEST), items=needed(ITEM), key=self.key, stored=self.items)


def with_samples(artifact: Artifact, sampled: Sampled, given: Samples | None) -> Artifact:
    """The artifact with samples: the first of those that are given, or else generated ones. Raises InputError for columns of `given` that
    are missing or of a wrong type; what features or evaluators refuse only leaves the samples without expected scores."""
    definition, columns = sampled.definition(artifact), sampled.columns(artifact)
    requests, source = None if given is None else first_requests(given, columns), GIVEN
    try:
        if requests is None:
            source = GENERATED
            programs = (program for link in artifact.manifest.links for program in link.programs)
            uses = (*sampled.uses, *(use for program in programs for use in program.fields))
            requests, outputs = accepted_requests(definition.config, columns, uses)
        else:
            outputs = _outputs(definition.config, requests, columns)
        scores, missing = expected_scores(definition, outputs, len(requests.item_request)), ""
    except (NoScores, InputError, ImportError) as error:  # the last names a library that a reference needs
        scores, missing = {}, str(error)
    except Exception as error:  # a fault of this package: it must show, but no model is worse for it
        scores, missing = {}, f"the samples could not be computed ({type(error).__name__}: {error}); please report this"
    return _entered(artifact, requests, source, scores, missing)


def _outputs(config: FeatureConfig, requests: SampleRequests, columns: Columns) -> dict[str, FeatureOutput]:
    """What the references say of these requests. Raises InputError for a row that a feature refuses."""
    return references(config, item_rows(requests, columns), len(requests.item_request))


def accepted_requests(
    config: FeatureConfig, columns: Columns, uses: Iterable[FieldUse]
) -> tuple[SampleRequests, dict[str, FeatureOutput]]:
    """Generated requests, and what the features make of them. Where one refuses them, its columns become plainer, until none does.

    Raises InputError when a feature refuses even constant columns.
    """
    wanted = wanted_columns(config.features, uses)
    levels: collections.Counter[str] = collections.Counter()
    while True:
        requests = generated_requests(wanted, columns, levels)
        try:
            return requests, _outputs(config, requests, columns)
        except InputError:
            refusing = _refusing(config, requests, columns)
            plainer = {name for feature in refusing for name in _raw_columns(feature, config.features) if levels[name] < CONSTANT}
            if not plainer:
                raise
            levels.update(plainer)


def _refusing(config: FeatureConfig, requests: SampleRequests, columns: Columns) -> list[str]:
    """The features that refuse these requests."""
    found, by_name = [], {feature.name: feature for feature in config.features}
    for name in by_name:
        needed = with_inputs([name], by_name)
        try:
            _outputs(dataclasses.replace(config, features=tuple(f for f in config.features if f.name in needed)), requests, columns)
        except InputError:
            found.append(name)
    return found


def _raw_columns(name: str, features: Sequence[Feature]) -> set[str]:
    """The columns that a feature reads, directly or not."""
    by_name = {feature.name: feature for feature in features}
    read = (by_name[other] for other in with_inputs([name], by_name))
    return {field.name for feature in read for field in feature.fields if field.side not in (FEATURE, CONST)}


def _entered(
    artifact: Artifact, requests: SampleRequests | None, source: str, scores: Mapping[str, np.ndarray], missing: str
) -> Artifact:
    entry = SamplesEntry(
        source=source,
        requests=0 if requests is None else requests.requests,
        items=0 if requests is None else len(requests.item_request),
        has_user=requests is not None and requests.user is not None,
        tolerances={name: _tolerance(artifact.manifest.precision, name, array) for name, array in scores.items()},
        missing=missing,
    )
    made = None if requests is None else dataclasses.replace(requests, scores=scores)
    return dataclasses.replace(artifact, samples=made, manifest=dataclasses.replace(artifact.manifest, samples=(entry,)))


def _tolerance(precision: Mapping[str, Any], output: str, scores: np.ndarray) -> float:
    """What a score may differ: integers not at all, those of dense layers below fp32 by what the report of the precision found."""
    if scores.dtype.kind != "f":
        return 0.0
    if not precision:
        return TOLERANCE
    seen = [one["largest"] for one in precision["differences"] if one["output"] == output]
    return TOLERANCE + (SLACK * seen[0] if seen else UNJUDGED.get(precision["dense"], 0.0))
