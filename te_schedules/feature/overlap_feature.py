"""overlap_feature: one number from the terms of a query and a title, as `tvm_rank.ops.overlap_feature` defines it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.bucketize import boundaries
from te_schedules.feature import normalize, overlap_words
from te_schedules.feature.id_feature import separators
from te_schedules.feature.kind import Column, TextOrNumberKind
from te_schedules.feature.overlap_counts import COUNTS, counts
from te_schedules.feature.overlap_terms import FEW_TERMS, QUERY, TITLE, Table, Terms, when
from te_schedules.feature.overlap_words import WORDS, Words
from te_schedules.procedure import Procedure
from te_schedules.text import equal
from te_schedules.tokens import Text, find_splits
from te_schedules.word_pairs import WORD_PAIRS


def _query_common_ratio(terms: Terms, query_count, title_count):
    return _ratio(terms.common(QUERY, TITLE, title_count), query_count)


def _title_common_ratio(terms: Terms, query_count, title_count):
    return _ratio(terms.common(TITLE, QUERY, query_count), title_count)


def _ratio(part, whole):
    """A quotient of integers in float64, then rounded to float32."""
    return T.cast(T.cast(part, "float64") / T.cast(whole, "float64"), "float32")


def _matches_at(terms: Terms, start, query_count):
    """How many query terms equal the title term at start + their position; all of them: the query stands there."""
    matches = intrin.local("int64", 0)

    def each(term: Text, position) -> None:
        def compare(other: Text, at) -> None:
            when(at == start + position, lambda: intrin.assign(matches, matches[0] + T.cast(equal.emit(term, other), "int64")))

        terms.title(compare)

    terms.query(each)
    return matches[0] == query_count


def _index_of(terms: Terms, query_count, title_count):
    found, start = intrin.local("int64", -1), intrin.local("int64", 0)
    with T.While(T.And(found[0] < T.int64(0), start[0] + query_count <= title_count)):
        when(_matches_at(terms, intrin.let(start[0]), query_count), lambda: intrin.assign(found, start[0]))
        intrin.assign(start, start[0] + T.int64(1))
    return T.cast(found[0], "float32")


def _is_contain(terms: Terms, query_count, title_count):
    return T.cast(_index_of(terms, query_count, title_count) >= T.float32(0), "float32")


def _is_equal(terms: Terms, query_count, title_count):
    result = intrin.local("float32", 0.0)
    with T.If(query_count == title_count), T.Then():
        intrin.assign(result, T.cast(_matches_at(terms, T.int64(0), query_count), "float32"))
    return result[0]


MOST_WORK, BYTES_OF_TERM = 2**30, 4  # as tvm_rank.config.types.overlap_feature has them
FAR = 2**40  # beyond any distance in a row


def _min_cover(terms: Terms, _query_count, title_count):
    """From each start, the part must reach the farthest of the query terms' first places at or behind it."""
    best, start = intrin.local("int64", FAR), intrin.local("int64", 0)
    with T.While(start[0] < title_count):
        end = intrin.local("int64", 0)

        def each(term: Text, _position, end=end) -> None:
            place = intrin.local("int64", FAR)

            def compare(other: Text, at) -> None:
                fits = T.And(at >= start[0], place[0] == T.int64(FAR))
                when(fits, lambda: intrin.assign(place, T.if_then_else(equal.emit(term, other), at, T.int64(FAR))))

            terms.title(compare)
            intrin.assign(end, T.max(end[0], place[0]))

        terms.query(each)
        with T.If(end[0] < T.int64(FAR)), T.Then():
            intrin.assign(best, T.min(best[0], end[0] - start[0] + T.int64(1)))
        intrin.assign(start, start[0] + T.int64(1))
    return T.cast(T.if_then_else(best[0] == T.int64(FAR), T.int64(0), best[0]), "float32")


def _pair_distance(terms: Terms, left: Text, right: Text):
    """The distance of the nearest occurrences of two terms in the title; FAR when the title lacks one."""
    distance = intrin.local("int64", FAR)

    def first(a: Text, p) -> None:
        def second(b: Text, q) -> None:
            when(equal.emit(b, right), lambda: intrin.assign(distance, T.min(distance[0], T.max(p - q, q - p))))

        when(equal.emit(a, left), lambda: terms.title(second))

    terms.title(first)
    return distance[0]


def _over_pairs(terms: Terms, title_count, combine: Callable, finish: Callable):
    """Combine the distances of all pairs of query terms that differ and are both in the title; len(title) + 1 without any."""
    total, pairs = intrin.local("int64", 0), intrin.local("int64", 0)

    def first(left: Text, i) -> None:
        def second(right: Text, j) -> None:
            def pair() -> None:
                distance = intrin.let(_pair_distance(terms, left, right))

                def add() -> None:
                    intrin.assign(total, T.if_then_else(pairs[0] == T.int64(0), distance, combine(total[0], distance)))
                    intrin.assign(pairs, pairs[0] + T.int64(1))

                when(distance < T.int64(FAR), add)

            when(i < j, lambda: when(T.Not(equal.emit(left, right)), pair))

        terms.query(second)

    terms.query(first)
    alone = T.cast(title_count + T.int64(1), "float32")
    return T.if_then_else(pairs[0] == T.int64(0), alone, finish(total[0], pairs[0]))


def _as_float32(total, _pairs):
    return T.cast(total, "float32")


def _distance(combine: Callable, finish: Callable) -> Callable:
    return lambda terms, _query_count, title_count: _over_pairs(terms, title_count, combine, finish)


COMMON = {"query_common_ratio": (QUERY, TITLE), "title_common_ratio": (TITLE, QUERY)}
"""Methods whose number is the part of a side's terms that are among the other's."""

METHODS: dict[str, Callable] = {
    "query_common_ratio": _query_common_ratio,
    "title_common_ratio": _title_common_ratio,
    "is_contain": _is_contain,
    "is_equal": _is_equal,
    "index_of": _index_of,
    "proximity_min_cover": _min_cover,
    "proximity_min_dist": _distance(T.min, _as_float32),
    "proximity_max_dist": _distance(T.max, _as_float32),
    "proximity_avg_dist": _distance(lambda a, b: a + b, _ratio),
    **overlap_words.METHODS,
}


@dataclass(frozen=True)
class OverlapKind(TextOrNumberKind):
    """A number: `method`, then `normalizer` (a shape of `feature/normalize.py`), then boundaries if `bucketized`.

    work: how the method's work grows with the terms of the query and of the title (powers); a row of more than MOST_WORK is refused ·
    discrete: in the older dialect, texts behind the column's array `prefix`, with the byte `joiner` between words; `bucketizer` is a name of
    `te_schedules.bucketize` (NONE: texts)
    """

    method: str
    work: tuple[int, int] = (1, 1)
    normalizer: Any = None
    bucketized: bool = False
    discrete: bool = False
    bucketizer: str = bucketize.NONE

    stem: ClassVar[str] = "overlap_feature"

    @classmethod
    def procedures(cls, columns: Iterable[Column]) -> list[Procedure]:
        """Counts of many rows."""
        counted = any(isinstance(kind := column.kind, cls) and kind.method in COMMON for column in columns)
        return [WORD_PAIRS, COUNTS] if counted else []

    @property
    def inputs(self) -> int:
        """Query and title."""
        return 2

    @property
    def can_fail(self) -> bool:
        """A row whose comparisons would take hours is refused."""
        return True

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column."""
        scope.bind("separator")
        find_splits(scope, first_row, end_row, separators(scope))
        scope.terms = Table(scope)
        if self.discrete:
            bucketize.bind_constants(self.bucketizer, scope)
            scope.joined = Words(scope)
            return
        scope.bind("normalizer_at", "missing_at")
        if self.bucketized:
            scope.bind("boundaries_at", "boundaries_count")
        if self.method in COMMON and not intrin.on_gpu():
            scope.state = counts(scope, [scope.fields[side] for side in COMMON[self.method]], first_row, end_row)

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the ids of one row."""
        if self.discrete:
            super().emit_ids(scope, row, accept)
        else:
            accept(boundaries.emit(scope, self._value(scope, row)), T.float32(1))

    def emit_numbers(self, scope, row, write) -> None:
        """Emit the number of one row."""
        write(T.int64(0), self._value(scope, row))

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        terms = Terms(scope, row)
        query_count, title_count = self._counts(scope, row, terms)
        with T.If(T.And(query_count > T.int64(0), title_count > T.int64(0))), T.Then():
            if self.method in WORDS:
                scope.joined.of_terms(self.method, terms, title_count, accept)
            else:
                scope.joined.integer(intrin.let(METHODS[self.method](terms, query_count, title_count)), accept)

    def _counts(self, scope, row, terms: Terms):
        """How many terms both sides have; none of the query in a row that is refused."""
        query, title = terms.measure(0), terms.measure(1)
        kept = intrin.local("int64", query[0])
        with T.If(T.And(query[0] > T.int64(0), title[0] > T.int64(0))), T.Then():
            counts = [intrin.let(T.cast(count, "float64")) for count, _ in (query, title)]
            sizes = [T.cast(count + size // T.int64(BYTES_OF_TERM), "float64") for count, size in (query, title)]
            work = T.max(*(intrin.let(size / count) for size, count in zip(sizes, counts, strict=True)))
            for count in (count for count, power in zip(counts, self.work, strict=True) for _ in range(power)):
                work = work * count
            with T.If(work > T.float64(MOST_WORK)), T.Then():
                scope.fail(row)
                intrin.assign(kept, 0)
        return intrin.let(kept[0]), title[0]

    def _value(self, scope, row):
        """The float32 of one row: the default when a side has no terms, else the method's number, normalized."""
        terms = Terms(scope, row)
        number, found = intrin.local("float32", 0.0), intrin.local("int64", 0)

        def measured() -> None:
            query_count, title_count = self._counts(scope, row, terms)
            with T.If(T.And(query_count > T.int64(0), title_count > T.int64(0))), T.Then():
                intrin.assign(number, METHODS[self.method](terms, query_count, title_count))
                intrin.assign(found, 1)

        if self.method not in COMMON:
            measured()
        elif scope.state is None:
            self._few_or(terms, measured, number, found)
        else:
            with T.If(scope.state.are_there):
                with T.Then():
                    count, common = scope.state.of(row, "int64", "int64")
                    with T.If(count > T.int64(0)), T.Then():
                        intrin.assign(number, _ratio(common, count))
                        intrin.assign(found, 1)
                with T.Else():
                    self._few_or(terms, measured, number, found)
        value = intrin.local("float32", scope.float("missing"))
        with T.If(found[0] == T.int64(1)), T.Then():
            result = intrin.let(number[0])
            intrin.assign(value, normalize.emit(self.normalizer, result, lambda k: scope.float("normalizer", k), "float32"))
        return intrin.let(value[0])

    def _few_or(self, terms: Terms, measured: Callable[[], None], number, found) -> None:
        """Set `number` and `found` by reading each side once, where a row has few terms; else emit `measured`."""
        most = [terms.most(side) for side in (QUERY, TITLE)]
        few = T.And(most[QUERY] <= T.int64(FEW_TERMS), most[TITLE] <= T.int64(FEW_TERMS))
        with T.If(few):
            with T.Then():
                side, other = COMMON[self.method]
                count, other_count, common = terms.common_of_few(side, other, most[other])
                with T.If(T.And(count > T.int64(0), other_count > T.int64(0))), T.Then():
                    intrin.assign(number, _ratio(common, count))
                    intrin.assign(found, 1)
            with T.Else():
                measured()
