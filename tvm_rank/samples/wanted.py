"""What the raw columns of generated samples should hold, so that each feature that reads them finds values of its kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tvm_rank.config.spec import CONST, FEATURE, Boundaries, Feature, Field, MinMax, NumBuckets, Vocabulary, ZScore
from tvm_rank.host.stage import OPERATIONS
from tvm_rank.runtime.columns import TEXT, FieldUse

MOST_WORDS = 8  # of a vocabulary, from its begin and its end


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One column.

    roles: how kernels read it (`FieldUse.role`) · elements: some feature reads its elements, as a sequence · words: texts that
    vocabularies know · numbers: near boundaries, and where normalizers begin and end · integers: its texts, or the values of its maps,
    become ids as they are · count: how many numbers each row has, None for any number · width: how many numbers each value of a map has ·
    separator, delimiters: between values, and between the elements of texts · key_delimiters: between key and value of maps · is_mask:
    says which values count · is_text: a library reads it as one text.
    """

    roles: frozenset[str] = frozenset()
    elements: bool = False
    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    integers: bool = False
    count: int | None = None
    width: int = 1
    separator: str = "\x1d"
    delimiters: frozenset[str] = frozenset()
    key_delimiters: frozenset[str] = frozenset()
    is_mask: bool = False
    is_text: bool = False

    def and_also(self, other: Wanted) -> Wanted:
        """What serves both."""
        counts = [count for count in (self.count, other.count) if count is not None]
        return Wanted(
            roles=self.roles | other.roles,
            elements=self.elements or other.elements,
            words=tuple(dict.fromkeys((*self.words, *other.words))),
            numbers=tuple(dict.fromkeys((*self.numbers, *other.numbers))),
            integers=self.integers or other.integers,
            count=min(counts, default=None),
            width=max(self.width, other.width),
            separator=self.separator if self.separator == other.separator else "\x1d",
            delimiters=self.delimiters | other.delimiters,
            key_delimiters=self.key_delimiters | other.key_delimiters,
            is_mask=self.is_mask or other.is_mask,
            is_text=self.is_text or other.is_text,
        )


def wanted_columns(features: Iterable[Feature], uses: Iterable[FieldUse]) -> dict[str, Wanted]:
    """The raw columns that features and kernels read, by name; a name of both sides is one column."""
    found: dict[str, Wanted] = {}

    def add(name: str, wanted: Wanted) -> None:
        found[name] = found[name].and_also(wanted) if name in found else wanted

    for feature in features:
        for field in feature.fields:
            if field.side not in (FEATURE, CONST):
                add(field.name, _of(feature, field))
    for use in uses:
        if use.name in found:  # columns that library calls make are not of the request
            add(use.name, Wanted(roles=frozenset((use.role,)), separator=found[use.name].separator))
    return found


def _of(feature: Feature, field: Field) -> Wanted:
    """What one feature wants of one of its fields."""
    place = feature.fields.index(field)
    wanted = Wanted(separator=feature.separators[-1])
    if feature.sequence is not None and feature.reads_elements(field):
        wanted = dataclasses.replace(wanted, elements=True, delimiters=frozenset((feature.sequence.delimiter,)))
    if feature.stem in OPERATIONS:
        return dataclasses.replace(wanted, roles=frozenset((TEXT,)), is_text=True, words=_words(feature))
    if feature.stem == "bool_mask_feature" and place == 1:
        return dataclasses.replace(wanted, is_mask=True)
    if feature.stem in ("lookup_feature", "match_feature") and place > 0:
        return wanted  # a key: the maps have the words that all texts share
    if feature.stem == "kv_dot_product":
        return dataclasses.replace(wanted, key_delimiters=frozenset((getattr(feature, "delimiter", ":"),)))
    is_map = feature.stem == "lookup_feature"
    return dataclasses.replace(
        wanted,
        words=_words(feature),
        numbers=_numbers(feature),
        integers=isinstance(feature.bucketizer, NumBuckets),
        count=max(1, feature.value_dim) if feature.stem == "raw_feature" else None,
        width=max(1, feature.numbers) if is_map else 1,
    )


def _words(feature: Feature) -> tuple[str, ...]:
    """Texts that the feature knows."""
    rule, named = feature.bucketizer, getattr(feature, "value_map", None) or ()
    if isinstance(rule, Vocabulary):
        named = rule.entries
    elif isinstance(rule, NumBuckets):
        named = [(str(number), 0) for number in sorted({0, min(1, rule.size - 1), rule.size // 2, rule.size - 1})]
    words = [word for word, _ in named]
    return tuple(dict.fromkeys((*words[: MOST_WORDS // 2], *words[-MOST_WORDS // 2 :])))


def _numbers(feature: Feature) -> tuple[float, ...]:
    """Numbers next to which the feature changes, as they are before its normalizer."""
    rule, normalizer = feature.bucketizer, getattr(feature, "normalizer", None)
    places = _spread(rule.values) if isinstance(rule, Boundaries) else (0.0, 0.5, 1.0)
    if isinstance(normalizer, MinMax):
        return tuple(normalizer.min + place * (normalizer.max - normalizer.min) for place in places)
    if isinstance(normalizer, ZScore):
        return tuple(normalizer.mean + place * normalizer.standard_deviation for place in places)
    if not isinstance(rule, Boundaries) or normalizer is not None:
        return ()
    return (*places, places[0] - 1, places[-1] + 1, (places[0] + places[-1]) / 2)


def _spread(values: Sequence[float]) -> tuple[float, ...]:
    """A few of many, the first and the last among them."""
    return tuple(values[k * (len(values) - 1) // 4] for k in range(5)) if len(values) > 5 else tuple(values)
