"""What overlap_feature of the older dialect gives: counts and floored ratios, and the common or different words themselves as texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from tvm_rank.config.types.overlap_feature import WORD_METHODS, OverlapFeature
from tvm_rank.ops.reference import default_token_ids, id_function, ragged, tokens
from tvm_rank.output import FeatureOutput

Terms = list[bytes]


def common(query: Terms, title: Terms) -> Terms:
    """The query terms that the title has, in their order, each as often as it comes."""
    return [term for term in query if term in title]


def different(query: Terms, title: Terms) -> Terms:
    """The query terms that the title lacks."""
    return [term for term in query if term not in title]


METHODS: dict[str, Callable[[Terms, Terms], int]] = {
    "query_common_ratio": lambda query, title: 10 * len(common(query, title)) // len(query),
    "title_common_ratio": lambda query, title: 100 * len(common(title, query)) // len(title),
    "is_contain": lambda query, title: int(any(title[k : k + len(query)] == query for k in range(len(title) - len(query) + 1))),
    "is_equal": lambda query, title: int(query == title),
    "common_word": lambda query, title: len(common(query, title)),
    "common_word_divided": lambda query, title: len(common(query, title)),
    "diff_word": lambda query, title: len(different(query, title)),
    "diff_word_divided": lambda query, title: len(different(query, title)),
    "diff_both": lambda query, title: len(different(query, title)) + len(different(title, query)),
}


def text_reference(feature: OverlapFeature, columns: Sequence[pa.Array], rows: int, hash_function: str) -> FeatureOutput:
    """The ids (or texts) of each row: prefix + the method's integer, or the words, one by one or with the joiner between.

    A row without query terms, without title terms or without a word has the default, or nothing.
    """
    id_of, default = id_function(feature, hash_function), default_token_ids(feature, hash_function)
    ids = []
    for row in range(rows):
        query, title = (tokens(column, row, feature.separators) for column in columns)
        texts = _texts(feature, query, title) if query and title else []
        ids.append([id_of(feature.prefix.encode() + text, row) for text in texts] or default)
    return ragged(ids)


def _texts(feature: OverlapFeature, query: Terms, title: Terms) -> Terms:
    if feature.method not in WORD_METHODS:
        return [b"%d" % METHODS[feature.method](query, title)]
    words = (common if feature.method.startswith("common") else different)(query, title)
    if feature.method.endswith("_divided"):
        return words
    return [feature.joiner.encode().join(words)] if words else []
