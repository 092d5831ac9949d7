"""combo_feature: the Cartesian product of the values of several fields, joined with "_"; the first field is the outer loop.

The text of the outer values is written once and kept while the inner loops run. A field without values makes the product empty. A row of
more than MOST combinations is refused: two fields of a million values would take hours. Behind them, only the outer loops go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.feature.id_feature import separators
from te_schedules.feature.join import Joined, Pieces
from te_schedules.feature.kind import TextKind
from te_schedules.text import order
from te_schedules.tokens import Text, find_splits, for_each_token

MOST = 2**24  # combinations of a row, as tvm_rank.config.types.combo_feature has it


@dataclass(frozen=True)
class ComboKind(TextKind):
    """`bucketizer` is a name of `te_schedules.bucketize` (NONE: texts); texts start with the column's array `prefix` (empty for none).

    pruned: of field k at most the int `most<k>` of values are kept, from the first if the int `front<k>` is 1, else up to the last ·
    ordered: the parts of each text are sorted by their bytes
    """

    bucketizer: str
    field_count: int
    pruned: bool = False
    ordered: bool = False

    stem: ClassVar[str] = "combo_feature"

    @property
    def inputs(self) -> int:
        """The fields that are crossed."""
        return self.field_count

    @property
    def has_plain_texts(self) -> bool:
        """True for ids that are hashes."""
        return self.bucketizer in bucketize.HASHES

    @property
    def can_fail(self) -> bool:
        """A row with too many combinations is refused."""
        return True

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for the joined texts."""
        bucketize.bind_constants(self.bucketizer, scope)
        scope.bind("separator")
        find_splits(scope, first_row, end_row, separators(scope))
        scope.joined = Pieces(scope) if self.ordered else Joined(scope, first_row, end_row)
        if self.pruned:
            scope.bind(*(f"{what}{k}" for k in range(self.field_count) for what in ("most", "front")))

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        count = _Count(scope, row)
        if self.ordered:
            self._emit_ordered(scope, row, count, accept)
            return
        joined = scope.joined

        def level(k: int, address) -> None:
            def token(text, _element) -> None:
                end = joined.append(address, text)
                if k + 1 < self.field_count:
                    with count.is_open():
                        level(k + 1, joined.underscore(end))
                else:
                    count.counted(accept)(joined.text(end), T.float32(1))

            self._each(scope, k, row, token)

        level(0, joined.start)

    def _each(self, scope, k: int, row, body: Callable[[Text, Any], None]) -> None:
        """Emit `body` for the values of field k that are kept."""
        field = scope.fields[k]
        if not self.pruned:
            for_each_token(field, row, separators(scope), body)
            return
        total, at = intrin.local("int64", 0), intrin.local("int64", 0)
        with T.If(scope.int(f"front{k}") == T.int64(0)), T.Then():
            for_each_token(field, row, separators(scope), lambda _text, _element: intrin.assign(total, total[0] + T.int64(1)))
        most = scope.int(f"most{k}")
        first = intrin.let(T.max(total[0] - most, T.int64(0)))

        def token(text: Text, element) -> None:
            is_kept = T.And(at[0] >= first, at[0] < first + most)
            with T.If(is_kept), T.Then():
                body(text, element)
            intrin.assign(at, at[0] + T.int64(1))

        for_each_token(field, row, separators(scope), token)

    def _emit_ordered(self, scope, row, count: _Count, accept) -> None:
        def level(k: int, parts: tuple[Text, ...]) -> None:
            def token(text: Text, _element) -> None:
                if k + 1 < self.field_count:
                    with count.is_open():
                        level(k + 1, (*parts, text))
                else:
                    count.counted(accept)(scope.joined.joined(_sorted((*parts, text)), prefixed=True), T.float32(1))

            self._each(scope, k, row, token)

        level(0, ())


class _Count:
    """How many combinations a row has had; refuses the row behind MOST."""

    def __init__(self, scope, row):
        self._scope, self._row = scope, row
        self._seen = intrin.local("int64", 0)

    @contextmanager
    def is_open(self) -> Iterator[None]:
        """What is emitted inside happens while there is room."""
        with T.If(self._seen[0] <= T.int64(MOST)), T.Then():
            yield

    def counted(self, accept: Callable) -> Callable:
        """`accept` for the first MOST combinations."""

        def take(text, weight) -> None:
            intrin.assign(self._seen, self._seen[0] + T.int64(1))
            with T.If(self._seen[0] <= T.int64(MOST)):
                with T.Then():
                    accept(text, weight)
                with T.Else():
                    self._scope.fail(self._row)

        return take


def _sorted(parts: tuple[Text, ...]) -> tuple[Text, ...]:
    """The parts in the order of their bytes: each is compared with those before it, and takes their places while it is less."""
    addresses = [intrin.local("int64", part.address) for part in parts]
    lengths = [intrin.local("int64", part.length) for part in parts]
    for last in range(1, len(parts)):
        for k in range(last, 0, -1):
            before, here = (Text(intrin.let(addresses[j][0]), intrin.let(lengths[j][0])) for j in (k - 1, k))
            with T.If(order.emit_less(here, before)), T.Then():
                for j, text in ((k - 1, here), (k, before)):
                    intrin.assign(addresses[j], text.address)
                    intrin.assign(lengths[j], text.length)
    return tuple(Text(intrin.let(a[0]), intrin.let(b[0])) for a, b in zip(addresses, lengths, strict=True))
