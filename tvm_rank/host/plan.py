"""From a configuration to its host stages, and to what is left to compile: features of ids over the columns that the stages make.

regex_replace_feature f over item:title  ->  stage item:title -> item:"regex_replace_feature f"
                                             id_feature f over item:"regex_replace_feature f"
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, cast

from tvm_rank.config.dag import in_order
from tvm_rank.config.spec import CONST, FEATURE, Feature, FeatureConfig, Field
from tvm_rank.config.types.id_feature import IdFeature
from tvm_rank.config.types.regex_replace_feature import RegexReplaceFeature
from tvm_rank.config.types.text_normalizer import FILTER, HALF_WIDTH, LOWER, SIMPLIFIED, SPLIT_HAN, UPPER, TextNormalizer
from tvm_rank.config.types.tokenize_feature import TokenizeFeature
from tvm_rank.errors import RankError
from tvm_rank.host.characters import character_table
from tvm_rank.host.stage import ITEM, OPERATIONS, REQUEST, HostStage
from tvm_rank.host.tokenize_feature import LIBRARIES

Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """The features that kernels compute, the stages that come before them, and the files that the stages need, by name."""

    config: FeatureConfig
    stages: tuple[HostStage, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def limited(self, columns: Iterable[str]) -> HostPlan:
        """The plan without what no kernel needs that reads these columns only."""
        read = set(columns)
        needed: list[HostStage] = []
        for stage in reversed(self.stages):  # a stage stands behind those that it reads
            if stage.output in read:
                needed.insert(0, stage)
                read.add(stage.input)
        names = {name for stage in needed for name in stage.files.values()}
        files = {name: contents for name, contents in self.files.items() if name in names}
        return dataclasses.replace(self, stages=tuple(needed), files=files)


def plan_host(config: FeatureConfig) -> HostPlan:
    """The host stages of a configuration. Raises RankError when a library that the compiler needs for them is not installed."""
    files: Files = {}
    stages: dict[str, HostStage] = {}
    distinct: dict[str, HostStage] = {}  # of equal calls over one column the first serves all
    compiled: dict[str, Feature] = {}
    for feature in in_order(config.features):
        if feature.stem in OPERATIONS:
            stage = _stage(feature, stages, files)
            stage = stages[feature.name] = distinct.setdefault(_what_it_does(stage), stage)
            feature = _over(feature, stage)
        compiled[feature.name] = _reading(feature, config, stages)
    features = tuple(compiled[feature.name] for feature in config.features)
    return HostPlan(config=dataclasses.replace(config, features=features), stages=tuple(distinct.values()), files=files)


def _what_it_does(stage: HostStage) -> str:
    """What equal stages have in common: all but whose they are, and what they call the column that they make."""
    entries = dataclasses.asdict(stage)
    return json.dumps({name: value for name, value in entries.items() if name not in ("feature", "output")}, sort_keys=True)


def _reading(feature: Feature, config: FeatureConfig, stages: Mapping[str, HostStage]) -> Feature:
    """The feature; where it reads the texts of a stage, it reads the column that the stage makes."""
    texts = {f.name for f in config.features if f.name in stages and f.yields_texts}
    fields = tuple(
        Field(side=stages[f.name].side, name=stages[f.name].output) if f.side == FEATURE and f.name in texts else f
        for f in feature.fields
    )
    return dataclasses.replace(feature, fields=fields)


def _over(feature: Feature, stage: HostStage) -> IdFeature:
    """The ids of the column that a stage makes."""
    common = {f.name: getattr(feature, f.name) for f in dataclasses.fields(Feature)}
    if isinstance(feature, TokenizeFeature):
        common["default_value"] = ""  # the stage has put its tokens in place
    column = Field(side=stage.side, name=stage.output)
    return IdFeature(**common | {"fields": (column,)}, prefix=cast(Any, feature).prefix)


def _stage(feature: Feature, before: Mapping[str, HostStage], files: Files) -> HostStage:
    """The stage of a feature; `before` are the stages of the features that it may read, by feature."""
    describe = _DESCRIPTIONS[feature.stem]
    given = feature.fields[0]
    if given.side == CONST or (given.side == FEATURE and given.name not in before):
        raise RankError(
            f"{feature.path}: {feature.stem} is a library call before the kernels, so it cannot read {given.side}:{given.name}, which they "
            "make; let it read a column, or a feature of these types: " + ", ".join(OPERATIONS)
        )
    sequence = feature.sequence
    entries: dict[str, Any] = {"delimiter": sequence.delimiter if sequence else "", "length": sequence.length if sequence else 0}
    entries |= {"library": "", "library_version": "", "splitting": "", "as_lists": False, "default_before": None}
    entries |= {"default_after": None, "prefix": "", "files": {}} | describe(feature, files)
    if feature.yields_texts:  # others read the column as it is
        entries |= {"as_lists": entries["as_lists"] and feature.value_dim != 1, "prefix": cast(Any, feature).prefix}
        entries |= {"default_after": feature.default_value or None} if entries["default_before"] is None else {}
    if entries["library"]:
        entries["library_version"] = metadata.version(cast(str, entries["library"]))
    return HostStage(
        feature=feature.name,
        operation=feature.stem,
        side=REQUEST if given.is_request else ITEM,
        input=before[given.name].output if given.side == FEATURE else given.name,
        output=f"{feature.stem} {feature.name}",
        **cast(Any, entries),
    )


def _regex_replace(feature: RegexReplaceFeature, _files: Files) -> dict[str, Any]:
    return {
        "library": "pyarrow",
        "splitting": "" if feature.value_dim == 1 else "".join(feature.separators),
        "as_lists": True,  # a list's elements are not split again
        "parameters": {"pattern": feature.pattern, "replacement": feature.replacement, "replace_all": feature.replace_all},
    }


def _text_normalizer(feature: TextNormalizer, files: Files) -> dict[str, Any]:
    parameter = feature.parameter
    table = character_table(
        case="upper" if parameter & UPPER else "lower" if parameter & LOWER else "",
        half_width=bool(parameter & HALF_WIDTH),
        simplified=bool(parameter & SIMPLIFIED),
        filter_special=bool(parameter & FILTER),
        stop_characters=feature.stop_characters,
    )
    return {
        "parameters": {
            "max_length": feature.max_length,
            "remove_space": feature.remove_space,
            "split_han": bool(parameter & SPLIT_HAN),
        },
        "files": {"characters": _named(table, files)},
    }


def _tokenize(feature: TokenizeFeature, files: Files) -> dict[str, Any]:
    return {
        "library": LIBRARIES[feature.tokenizer_type],
        "default_before": feature.default_value or None,
        "parameters": {"tokenizer_type": feature.tokenizer_type, "output_type": feature.output_type},
        "files": {"vocab_file": _named(feature.model, files)},
    }


_DESCRIPTIONS: Mapping[str, Callable[[Any, Files], dict[str, Any]]] = {
    "regex_replace_feature": _regex_replace,
    "text_normalizer": _text_normalizer,
    "tokenize_feature": _tokenize,
}


def _named(contents: bytes, files: Files) -> str:
    """Enter a file under a name that says its contents; equal files are one."""
    name = hashlib.blake2b(contents, digest_size=16).hexdigest()
    files[name] = contents
    return name
