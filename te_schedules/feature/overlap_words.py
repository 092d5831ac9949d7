"""What overlap_feature of the older dialect gives: counts and floored ratios, and the common or different words themselves as texts.

The definition is `tvm_rank/ops/overlap_words.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm.script.ir_builder import tirx as T

from te_schedules import intrin
from te_schedules.feature.overlap_terms import QUERY, TITLE, Terms
from te_schedules.growable import Growable
from te_schedules.text import copy, format_int
from te_schedules.tokens import INT_TEXT_BYTES, Text


def _tenths(terms: Terms, query_count, title_count):
    return _whole(terms.common(QUERY, TITLE, title_count) * T.int64(10), query_count)


def _hundredths(terms: Terms, query_count, title_count):
    return _whole(terms.common(TITLE, QUERY, query_count) * T.int64(100), title_count)


def _whole(part, count):
    return T.cast(part // count, "float32")


def _common_words(terms: Terms, _query_count, title_count):
    return T.cast(terms.common(QUERY, TITLE, title_count), "float32")


def _diff_words(terms: Terms, query_count, title_count):
    return T.cast(query_count - terms.common(QUERY, TITLE, title_count), "float32")


def _diff_both(terms: Terms, query_count, title_count):
    both = terms.common(QUERY, TITLE, title_count) + terms.common(TITLE, QUERY, query_count)
    return T.cast(query_count + title_count - both, "float32")


METHODS: dict[str, Callable] = {
    "query_tenths": _tenths,
    "title_hundredths": _hundredths,
    "common_words": _common_words,
    "diff_words": _diff_words,
    "diff_both": _diff_both,
}
WORDS = {"common_word": True, "diff_word": False, "common_word_divided": True, "diff_word_divided": False}
"""Methods whose values are query terms: those that the title has (True) or lacks."""


class Words:
    """Texts made of words: the buffer of a column for a block of rows."""

    def __init__(self, scope):
        scope.bind("prefix_at", "prefix_count", "joiner")
        self._scope, self._buffer = scope, Growable("uint8", 1)
        self._digits = intrin.array(INT_TEXT_BYTES, "uint8")
        scope.at_end(self._buffer.free)

    def _start(self) -> None:
        """Empty the buffer and write the prefix."""
        scope = self._scope
        self._buffer.clear()
        self._put(Text(intrin.let(scope.bytes_address(scope.int("prefix_at"))), scope.int("prefix_count")))

    def _put(self, text: Text) -> None:
        self._buffer.reserve(text.length)
        copy.emit(text, intrin.let(self._buffer.end))
        self._buffer.extend(text.length)

    def _text(self) -> Text:
        return Text(intrin.let(self._buffer.address), intrin.let(self._buffer.bytes))

    def integer(self, number, accept: Callable) -> None:
        """Emit `accept` of the prefix and an integer (float32)."""
        self._start()
        at = intrin.let(intrin.address_of(self._digits))
        self._put(Text(at, format_int.emit(intrin.let(T.cast(number, "int64")), at)))
        accept(self._text(), T.float32(1))

    def of_terms(self, method: str, terms: Terms, title_count, accept: Callable) -> None:
        """Emit `accept` of each chosen query term behind the prefix, or once of all of them with the joiner between."""
        is_in = terms.finder(QUERY, TITLE, title_count)
        chosen, divided = intrin.local("int64", 0), method.endswith("_divided")
        if not divided:
            self._start()

        def each(term: Text, _position) -> None:
            in_title = is_in(term)
            with T.If(in_title if WORDS[method] else T.Not(in_title)), T.Then():
                if divided:
                    self._start()
                else:
                    with T.If(chosen[0] > T.int64(0)), T.Then():
                        self._buffer.append(T.cast(self._scope.int("joiner"), "uint8"))
                self._put(term)
                intrin.assign(chosen, chosen[0] + T.int64(1))
                if divided:
                    accept(self._text(), T.float32(1))

        terms.query(each)
        if not divided:
            with T.If(chosen[0] > T.int64(0)), T.Then():
                accept(self._text(), T.float32(1))
