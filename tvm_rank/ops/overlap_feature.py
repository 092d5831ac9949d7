"""overlap_feature: one number that says how much the terms of a query and of a title have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from tvm_rank.config.spec import Boundaries
from tvm_rank.config.types.overlap_feature import BYTES_OF_TERM, MOST_WORK, OverlapFeature
from tvm_rank.errors import InputError
from tvm_rank.ops import overlap_words
from tvm_rank.ops.normalize import bucket_of, normalize_number
from tvm_rank.ops.reference import check_columns, ragged, row_in, texts, tokens
from tvm_rank.output import FeatureOutput

Terms = list[bytes]


def reference(feature: OverlapFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """Dense (rows, 1) float32; with boundaries ids (rows,) int64 and lengths (rows,) int32, all 1. columns: query, title.

    Terms are the tokens of a row (`reference.tokens`); they are equal when their bytes are, so that the integer 1 equals the text
    "1". The method's number is rounded to float32, normalized in float32 and bucketized. A row without query terms or without title
    terms has the default number (0 if none is configured): not normalized, but bucketized.

    Of the older dialect: `overlap_words.py`.

    Raises InputError for a column of another type or length, and for a row of more than MOST_WORK comparisons.
    """
    check_columns(feature, columns, rows)
    for row in range(rows):
        query, title = (tokens(column, row, feature.separators) for column in columns)
        if query and title:
            check_work(feature, (query, title), [_bytes_read(column, row) for column in columns], row)
    if feature.discrete:
        return overlap_words.text_reference(feature, columns, rows, hash_function)
    methods: Mapping[str, Callable[[Terms, Terms], float]] = overlap_words.METHODS if feature.legacy else METHODS
    numbers = []
    for row in range(rows):
        query, title = (tokens(column, row, feature.separators) for column in columns)
        if query and title:
            numbers.append(normalize_number(feature.normalizer, np.float32(methods[feature.method](query, title))))
        else:
            numbers.append(np.float32(feature.default))
    if isinstance(feature.bucketizer, Boundaries):
        return ragged([[bucket_of(feature.bucketizer, number)] for number in numbers])
    return FeatureOutput(dense=np.array(numbers, np.float32).reshape(rows, 1))


def check_work(feature: OverlapFeature, sides: Sequence[Terms], read: Sequence[int], row: int) -> None:
    """Raise InputError when comparing these terms would take too long. read: the bytes in which they are found, each time again."""
    work = max(float(len(terms) + size // BYTES_OF_TERM) / len(terms) for terms, size in zip(sides, read, strict=True))
    for terms, power in zip(sides, feature.work, strict=True):
        work *= float(len(terms)) ** power
    if work > MOST_WORK:
        raise InputError(f"feature {feature.name!r}, row {row}: {feature.refusal}")


def _bytes_read(column: pa.Array, row: int) -> int:
    """The bytes of all texts of a row, separators included, and one for each element, null and empty ones too."""
    at = row_in(column, row)
    found = column[at].values if pa.types.is_list(column.type) else column.slice(at, 1).drop_null()
    return 0 if found is None else sum(1 + len(text or b"") for text in texts(found))


def query_common_ratio(query: Terms, title: Terms) -> float:
    """Query terms that the title has, of all query terms; a term that comes twice counts twice."""
    return sum(term in title for term in query) / len(query)


def title_common_ratio(query: Terms, title: Terms) -> float:
    """Title terms that the query has, of all title terms; a term that comes twice counts twice."""
    return sum(term in query for term in title) / len(title)


def is_contain(query: Terms, title: Terms) -> float:
    """1 if the query is a contiguous part of the title in its order, else 0."""
    return float(index_of(query, title) >= 0)


def is_equal(query: Terms, title: Terms) -> float:
    """1 if query and title are the same list, else 0."""
    return float(query == title)


def index_of(query: Terms, title: Terms) -> float:
    """The first place of the title (from 0) where the whole query stands in its order; -1 if there is none."""
    places = range(len(title) - len(query) + 1)
    return float(next((at for at in places if title[at : at + len(query)] == query), -1))


def proximity_min_cover(query: Terms, title: Terms) -> float:
    """The length of the shortest part of the title that has every query term at least once; 0 if the title lacks one."""
    if not set(query) <= set(title):
        return 0.0
    parts = itertools.combinations(range(len(title) + 1), 2)
    return float(min(end - start for start, end in parts if set(query) <= set(title[start:end])))


def proximity_min_dist(query: Terms, title: Terms) -> float:
    """The smallest of the pair distances (`_distances`); len(title) + 1 if there is no pair."""
    return float(min(_distances(query, title), default=len(title) + 1))


def proximity_max_dist(query: Terms, title: Terms) -> float:
    """The largest of the pair distances (`_distances`); len(title) + 1 if there is no pair."""
    return float(max(_distances(query, title), default=len(title) + 1))


def proximity_avg_dist(query: Terms, title: Terms) -> float:
    """The mean of the pair distances (`_distances`), an integer sum over a count; len(title) + 1 if there is no pair."""
    distances = _distances(query, title) or [len(title) + 1]
    return sum(distances) / len(distances)


def _distances(query: Terms, title: Terms) -> list[int]:
    """Of each two places of the query whose terms differ and are both in the title: how far apart their nearest occurrences are.

    After Tao and Zhai, "An exploration of proximity measures in information retrieval" (SIGIR 2007); a query term that comes twice
    makes its pairs twice, which only the mean can tell.
    """
    return [
        min(abs(p - q) for p, a in enumerate(title) for q, b in enumerate(title) if a == left and b == right)
        for left, right in itertools.combinations(query, 2)
        if left != right and left in title and right in title
    ]


METHODS: dict[str, Callable[[Terms, Terms], float]] = {
    "query_common_ratio": query_common_ratio,
    "title_common_ratio": title_common_ratio,
    "is_contain": is_contain,
    "is_equal": is_equal,
    "index_of": index_of,
    "proximity_min_cover": proximity_min_cover,
    "proximity_min_dist": proximity_min_dist,
    "proximity_max_dist": proximity_max_dist,
    "proximity_avg_dist": proximity_avg_dist,
}
