"""Stages that read features which kernels compute: those features come first, as a program of their own that gives texts.

    lookup_feature look -> regex_replace_feature f       ->    program look (texts)  ->  column "feature look"  ->  f over that column

What gives numbers, or ids made of numbers, is read by an id_feature without a bucketizer, which gives their texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tvm_rank.config.spec import FEATURE, Feature, FeatureConfig, Field
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.errors import RankError
from tvm_rank.host.stage import ITEM, ONE_TEXT, OPERATIONS, REQUEST


@dataclass(frozen=True, kw_only=True)
class MadeColumn:
    """A column that the texts of a feature become. single: it has one text a row, which its reader may split, and not a list."""

    name: str
    single: bool


@dataclass(frozen=True, kw_only=True)
class Link:
    """Features whose texts are columns of what comes behind: `made` maps such a feature of `config` to its column."""

    config: FeatureConfig
    made: Mapping[str, MadeColumn]


def chain_of(config: FeatureConfig) -> tuple[tuple[Link, ...], FeatureConfig]:
    """(what gives texts first, each link reading the columns of the one before; the configuration that reads those of the last).

    Raises RankError for a stage that reads a sequence, or several texts where it takes one.
    """
    by_name = {feature.name: feature for feature in config.features}
    readers = [feature for feature in config.features if _reads_kernels(feature, by_name)]
    sources = {reader.fields[0].name: by_name[reader.fields[0].name] for reader in readers}
    if not sources:
        return (), config
    givers = {name: _giver(source) for name, source in sources.items()}
    for reader in readers:
        _check(reader, givers[reader.fields[0].name])
    needed = with_inputs(sources, by_name)
    by_giver = {giver.name: giver for giver in givers.values()}
    first = [by_giver.get(f.name) or replace(f, stub=True) for f in config.features if f.name in needed]
    added = [giver for giver in by_giver.values() if giver.name not in by_name]
    links, innermost = chain_of(replace(config, features=(*first, *added)))
    made = {giver.name: MadeColumn(name=f"feature {name}", single=giver.value_dim == 1) for name, giver in givers.items()}
    rest = tuple(_reading(f, made[givers[f.fields[0].name].name], by_name) if f in readers else f for f in config.features)
    return (*links, Link(config=innermost, made=made)), replace(config, features=rest)


def _reads_kernels(feature: Feature, by_name: Mapping[str, Feature]) -> bool:
    """Whether a stage reads what kernels compute."""
    if feature.stem not in OPERATIONS or feature.fields[0].side != FEATURE:
        return False
    return by_name[feature.fields[0].name].stem not in OPERATIONS


def _giver(source: Feature) -> Feature:
    """What gives the texts of a feature: itself without a bucketizer; of numbers, an id_feature that reads it."""
    if not source.numbers:
        return replace(source, bucketizer=None, embedding=None, stub=False)
    given = Field(side=FEATURE, name=source.name, request=source.is_request)
    one = source.numbers == 1 and source.bucketizer is None
    return IdFeature(name=f"text of {source.name}", path=source.path, default_value="", value_dim=int(one), fields=(given,))


def _check(reader: Feature, giver: Feature) -> None:
    where = f"{reader.path}: {reader.stem} reads feature:{reader.fields[0].name}"
    if reader.sequence is not None or giver.sequence is not None:
        raise RankError(f"{where}: one of them is a sequence, and texts are made row by row here; let it read a column")
    if reader.stem in ONE_TEXT and giver.value_dim != 1:
        raise RankError(f"{where}: it takes one text a row, and {giver.path} may give several; set that one's value_dim to 1")


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


def _reading(reader: Feature, column: MadeColumn, by_name: Mapping[str, Feature]) -> Feature:
    side = REQUEST if by_name[reader.fields[0].name].is_request else ITEM
    return replace(reader, fields=(Field(side=side, name=column.name),))
