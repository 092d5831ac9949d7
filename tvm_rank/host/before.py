"""Stages that read features which kernels compute: those features come first, as a program of their own that gives texts.

lookup_feature look -> regex_replace_feature f       ->    program look (texts)  ->  column "feature look"  ->  f over that column
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tvm_rank.config.spec import FEATURE, Feature, FeatureConfig, Field
from tvm_rank.errors import RankError
from tvm_rank.host.stage import ITEM, OPERATIONS, REQUEST

Made = Mapping[str, str]  # feature -> the column that its texts become


@dataclass(frozen=True, kw_only=True)
class Link:
    """Features whose texts are columns of what comes behind: `made` maps such a feature of `config` to its column."""

    config: FeatureConfig
    made: Made


def chain_of(config: FeatureConfig) -> tuple[tuple[Link, ...], FeatureConfig]:
    """(what gives texts first, each link reading the columns of the one before; the configuration that reads those of the last).

    Raises RankError for a stage that reads numbers.
    """
    first, rest, made = _texts_before(config)
    if first is None:
        return (), rest
    links, innermost = chain_of(first)
    return (*links, Link(config=innermost, made=made)), rest


def _texts_before(config: FeatureConfig) -> tuple[FeatureConfig | None, FeatureConfig, Made]:
    """(what gives texts first, None for nothing; the configuration that reads them as columns; these columns by feature)."""
    by_name = {feature.name: feature for feature in config.features}
    made: dict[str, str] = {}
    for feature in config.features:
        if feature.stem in OPERATIONS and feature.fields[0].side == FEATURE:
            source = by_name[feature.fields[0].name]
            if source.stem not in OPERATIONS:
                if source.numbers or feature.sequence is not None or source.sequence is not None:
                    raise RankError(
                        f"{feature.path}: {feature.stem} reads texts, and {source.name!r} gives none; let it read another input"
                    )
                made[source.name] = f"feature {source.name}"
    if not made:
        return None, config, made
    needed = with_inputs(made, by_name)
    first = tuple(_giving_texts(f, f.name in made) for f in config.features if f.name in needed)
    rest = tuple(_reading(f, made, by_name) for f in config.features)
    return replace(config, features=first), replace(config, features=rest), made


def with_inputs(names: Iterable[str], by_name: Mapping[str, Feature]) -> set[str]:
    """These features, and all that they read, directly or not."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += by_name[name].feature_inputs
    return found


def _giving_texts(feature: Feature, is_read: bool) -> Feature:
    return replace(feature, bucketizer=None, embedding=None, stub=False) if is_read else replace(feature, stub=True)


def _reading(feature: Feature, made: Made, by_name: Mapping[str, Feature]) -> Feature:
    given = feature.fields[0] if feature.fields else None
    if feature.stem not in OPERATIONS or given is None or given.side != FEATURE or given.name not in made:
        return feature
    side = REQUEST if by_name[given.name].is_request else ITEM
    return replace(feature, fields=(Field(side=side, name=made[given.name]),))
