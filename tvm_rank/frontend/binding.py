"""Which features feed which input of the dense model: by name, the feature's or else the group's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tvm_rank.config.dag import in_order
from tvm_rank.config.spec import Boundaries, Feature, FeatureConfig
from tvm_rank.errors import ModelError
from tvm_rank.frontend.dense_model import ModelInput
from tvm_rank.frontend.nearest import did_you_mean
from tvm_rank.frontend.sequence_binding import MASK, SUFFIXES, element_problems, shape_text, side_problems
from tvm_rank.frontend.sequence_binding import id_problems as element_id_problems
from tvm_rank.frontend.tables import TableNeed

Kind = Literal["value", "id", "elements", "element_ids", "mask", "length", "bag", "lookup"]


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One model input and its source.

    kind "value": float32 (N, d), the pooled embeddings and values of `features`, one after the other along d.
    kind "id": int64 (N) or (N, 1), the bucket id of the one feature in `features`; of several ids of a row, the first.
    kind "elements": float32 (N, L, d), the embeddings or numbers of the elements of sequences, side by side along d, zeros behind.
    kind "element_ids": int64 (N, L), the ids of the elements of the one sequence, 0 behind.
    kind "mask": float32 or int64 (N, L), 1 where `features[0]` has an element. kind "length": (N) or (N, 1), how many it has.
    kind "bag": all ids of the one feature in `features`, where those of each row begin, or their weights: inputs of the file alone.
    kind "lookup": float32 (N, d) or (N, L, d), what `input.lookup` says of the ids of the one feature in `features`.
    """

    input: ModelInput
    kind: Kind
    features: tuple[Feature, ...]


def bind_inputs(model_inputs: Sequence[ModelInput], config: FeatureConfig, source: str) -> tuple[Binding, ...]:
    """One binding per input, in the order of the inputs.

    Raises one ModelError with the problems of all inputs: a name that is neither a feature's nor a group's, a width that the
    features do not add up to, a feature that has no value of the kind that the input wants, a sequence.
    """
    bindings, problems = [], []
    for entry in model_inputs:
        features = _features_of(entry.bag or entry.name, config)
        if entry.bag and (entry.bag != entry.name or features):
            found = _bag_problems(entry, features, model_inputs) if entry.bag == entry.name else []
            problems += [f"input '{entry.name}' {problem}" for problem in found]
            bindings += [] if found or not features else [Binding(input=entry, kind="bag", features=features)]
            continue
        beside = () if features else _sequence_beside(entry.name, config)
        kind: Kind = _kind_of(entry, features) if not beside else "mask" if entry.name.endswith(MASK) else "length"
        found = side_problems(entry, beside) if beside else _problems(entry, kind, features, config)
        problems += [f"input '{entry.name}' {problem}" for problem in found]
        if not found:
            bindings.append(Binding(input=entry, kind=kind, features=beside[:1] or features))
    if problems:
        raise ModelError(source, problems)
    return tuple(bindings)


def bind_lookups(model_inputs: Sequence[ModelInput], given: Sequence[Binding]) -> tuple[Binding, ...]:
    """One binding per input of a model whose lookups were taken out, from those of the file's own inputs."""
    by_name = {binding.input.name: binding for binding in given}
    return tuple(
        Binding(input=entry, kind="lookup", features=by_name[entry.lookup.ids].features) if entry.lookup else by_name[entry.name]
        for entry in model_inputs
    )


def feature_width(feature: Feature) -> int | None:
    """The number of float32 values that the feature adds to a float input, or None when it has none (ids, no embedding)."""
    if feature.embedding is not None:
        return feature.embedding.dim
    if feature.bucketizer is not None:
        return None
    return feature.numbers or None


def table_needs(bindings: Iterable[Binding], source: str = "features") -> dict[str, TableNeed]:
    """{table: what is asked of it} over the features with an embedding that feed a float input, in order of first use, then over the
    lookups of the model itself.

    Features that share a table must agree on its width; its id space is the largest of theirs. Raises ModelError otherwise.
    """
    users: dict[str, dict[str, Feature]] = {}
    bindings = tuple(bindings)
    for binding in bindings:
        for feature in binding.features:
            if binding.kind in ("value", "elements") and feature.embedding is not None:
                users.setdefault(feature.embedding.table, {})[feature.name] = feature
    needs, problems = {}, []
    for table, features in users.items():
        dims = {name: f.embedding.dim for name, f in features.items() if f.embedding}
        if len(set(dims.values())) > 1:
            widths = ", ".join(f"{name} {dim}" for name, dim in dims.items())
            problems.append(
                f"table '{table}' is shared with different embedding_dim ({widths}); give them one, or their own tables"
            )
            continue
        space = max(f.bucketizer.id_space for f in features.values() if f.bucketizer)
        needs[table] = TableNeed(dim=next(iter(dims.values())), id_space=space, used_by=tuple(features))
    for table, own in _model_tables(bindings).items():
        if table in users:
            problems.append(f"table '{table}' of the features has the name of one inside of the model; rename either")
        needs[table] = own
    if problems:
        raise ModelError(source, problems)
    return needs


def _model_tables(bindings: Iterable[Binding]) -> dict[str, TableNeed]:
    """What the lookups of the model ask of its tables, which are as wide as the file has them."""
    needs: dict[str, TableNeed] = {}
    for binding in bindings:
        if binding.input.lookup is None:
            continue
        (feature,) = binding.features
        assert feature.bucketizer is not None, "the binding of the ids has seen that it makes ids"
        before = needs.get(binding.input.lookup.table)
        needs[binding.input.lookup.table] = TableNeed(
            dim=binding.input.shape[-1],
            id_space=max(feature.bucketizer.id_space, before.id_space if before else 0),
            used_by=(*(before.used_by if before else ()), feature.name),
        )
    return needs


def unused_features(config: FeatureConfig, bindings: Iterable[Binding]) -> tuple[str, ...]:
    """Names of the features that feed no input, in configuration order."""
    used = {feature.name for binding in bindings for feature in binding.features}
    for feature in reversed(in_order(config.features)):
        used |= set(feature.feature_inputs) if feature.name in used else set()
    return tuple(feature.name for feature in config.features if feature.name not in used)


def _features_of(name: str, config: FeatureConfig) -> tuple[Feature, ...]:
    """The feature of that name, else the features of the group of that name in configuration order, else none."""
    named = tuple(feature for feature in config.features if feature.name == name)
    return named or tuple(feature for feature in config.features if feature.group == name and not feature.stub)


def _sequence_beside(name: str, config: FeatureConfig) -> tuple[Feature, ...]:
    """The sequences whose mask or length an input of that name is."""
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return tuple(f for f in _features_of(name.removesuffix(suffix), config) if f.sequence is not None)
    return ()


def _kind_of(entry: ModelInput, features: tuple[Feature, ...]) -> Kind:
    if entry.dtype == "float32":
        return "elements" if len(entry.shape) == 2 else "value"
    of_sequence = any(feature.sequence is not None for feature in features)
    return "element_ids" if of_sequence and len(entry.shape) == 1 else "id"


def _problems(entry: ModelInput, kind: Kind, features: tuple[Feature, ...], config: FeatureConfig) -> list[str]:
    if not features:
        if entry.name.endswith(SUFFIXES):
            return [f"is named like the {entry.name.rpartition('__')[2]} of a sequence that {config.source} does not have"]
        known = {f.name for f in config.features} | {f.group for f in config.features if f.group}
        hint = did_you_mean(entry.name, sorted(known)) or "; name the graph input after the feature or the group that feeds it"
        return [f"is neither a feature nor a group of {config.source}{hint}"]
    if kind == "elements":
        return element_problems(entry, features, feature_width)
    if kind == "element_ids":
        return element_id_problems(entry, features)
    return _value_problems(entry, features) if kind == "value" else _id_problems(entry, features)


def _value_problems(entry: ModelInput, features: tuple[Feature, ...]) -> list[str]:
    if len(entry.shape) != 1:
        return [f"is float {shape_text(entry)}; wanted (N, d): export it with one axis after the batch"]
    problems, widths = [], []
    for feature in features:
        if feature.sequence is not None and feature.embedding is None:
            problems.append(f"is float (N, d), but '{feature.name}' ({feature.path}) is a sequence of numbers; make it (N, L, d)")
            continue
        width = feature_width(feature)
        if width is not None and (feature.embedding is None or feature.bucketizer is not None):
            widths.append((feature.name, width))
        elif feature.bucketizer is not None:
            problems.append(
                f"is float, but '{feature.name}' ({feature.path}) makes ids without an embedding; give it an embedding_dim"
            )
        else:
            advice = "give it a bucketizer such as hash_bucket_size, and an embedding_dim"
            problems.append(f"is float, but '{feature.name}' ({feature.path}) makes neither numbers nor ids; {advice}")
    total = sum(width for _, width in widths)
    if not problems and total != entry.shape[0]:
        listed = ", ".join(f"{name} {width}" for name, width in widths)
        advice = "correct embedding_dim, value_dim or the members of the group, or export the model for this width"
        problems.append(f"is {entry.shape[0]} wide, but its features are {total} wide ({listed}); {advice}")
    return problems


def _bag_problems(entry: ModelInput, features: tuple[Feature, ...], inputs: Sequence[ModelInput]) -> list[str]:
    """The problems of the ids of a bag: any number of ids of one feature, with weights if the model multiplies by weights."""
    if len(features) > 1:
        names = ", ".join(feature.name for feature in features)
        return [f"is a bag of ids, but the group has {len(features)} features ({names}); make one input per feature"]
    feature = features[0]
    where = f"is a bag of ids, but '{feature.name}' ({feature.path})"
    if feature.bucketizer is None:
        return [f"{where} makes no ids; give it a bucketizer such as hash_bucket_size"]
    has_weights = any(other.bag == entry.name and other.dtype == "float32" for other in inputs)
    if has_weights != feature.has_weights:
        advice = "make it weighted" if has_weights else "export the model with per_sample_weights, or take the weights away"
        return [f"{where} is {'not ' if has_weights else ''}weighted, other than the model has it; {advice}"]
    if entry.needs_an_id and not feature.default_value:
        return [f"{where} may have no id in a row, for which the model has no number; give it a default_value"]
    return _beyond_rows(entry, feature)


def _beyond_rows(entry: ModelInput, feature: Feature) -> list[str]:
    assert feature.bucketizer is not None, "it makes ids"
    space = feature.bucketizer.id_space
    if entry.rows is None or space <= entry.rows:
        return []
    advice = "make the id space smaller, or export the model with a larger table"
    return [f"indexes {entry.rows} rows in the model, but the ids of '{feature.name}' run to {space - 1}; {advice}"]


def _id_problems(entry: ModelInput, features: tuple[Feature, ...]) -> list[str]:
    if entry.shape not in ((), (1,)):
        return [f"is int64 {shape_text(entry)}; wanted (N) or (N, 1), one id per item"]
    if len(features) > 1:
        names = ", ".join(feature.name for feature in features)
        return [f"is int64, one id per item, but the group has {len(features)} features ({names}); make one input per feature"]
    feature = features[0]
    where = f"is int64, but '{feature.name}' ({feature.path})"
    if feature.bucketizer is None:
        return [f"{where} makes no ids; give it a bucketizer such as hash_bucket_size or boundaries, or make the input float"]
    if feature.sequence is not None:
        return [f"{where} is a sequence; make the input (N, sequence_length)"]
    problems = []
    is_bucket = isinstance(feature.bucketizer, Boundaries)
    if not is_bucket and not feature.default_value:
        problems.append(f"{where} has no id for a row without a value; give it a default_value")
    if is_bucket and feature.value_dim > 1:
        problems.append(f"{where} makes {feature.value_dim} ids per item; set value_dim to 1, or make the input float")
    if feature.has_weights:
        problems.append(f"{where} is weighted, and an id has no weight; make the input float with an embedding_dim")
    return problems + _beyond_rows(entry, feature)
