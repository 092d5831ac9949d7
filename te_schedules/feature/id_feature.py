"""id_feature: every value of one field, bucketized; with weights if the values are `key:weight`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.bucketize import num_buckets
from te_schedules.column import Word
from te_schedules.feature.join import Joined
from te_schedules.feature.kind import TextKind
from te_schedules.text import parse_float
from te_schedules.tokens import Text, find_splits, for_each_token


@dataclass(frozen=True)
class IdKind(TextKind):
    """`bucketizer` is a name of `te_schedules.bucketize` (NONE: texts); `prefixed` texts start with the column's array `prefix`."""

    bucketizer: str
    prefixed: bool = False
    weighted: bool = False

    stem: ClassVar[str] = "id_feature"

    @property
    def has_weights(self) -> bool:
        """True when the values are `key:weight`."""
        return self.weighted

    @property
    def _joins(self) -> bool:
        """num_buckets reads the bare value."""
        return self.prefixed and self.bucketizer != bucketize.NUM_BUCKETS

    @property
    def takes_memory(self) -> bool:
        """For texts that are put together."""
        return self._joins

    @property
    def has_plain_texts(self) -> bool:
        """True for ids that are hashes."""
        return self.bucketizer in bucketize.HASHES

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for prefixed texts."""
        bucketize.bind_constants(self.bucketizer, scope)
        scope.bind("separator")
        find_splits(scope, first_row, end_row, separators(scope))
        if self._joins:
            scope.joined = Joined(scope, first_row, end_row)

    def emit_ids(self, scope, row, accept) -> None:
        """Emit the ids of one row."""
        field = scope.fields[0]
        if self.bucketizer != bucketize.NUM_BUCKETS or self.weighted:
            super().emit_ids(scope, row, accept)
            return
        with T.If(field.is_text):
            with T.Then():
                super().emit_ids(scope, row, accept)
            with T.Else():
                first, last = field.elements(row)
                with T.serial(first, last) as element, T.If(field.element_is_valid(element)), T.Then():
                    accept(num_buckets.clamp(scope, intrin.let(field.number(element, "int64"))), T.float32(1))

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        field = scope.fields[0]

        def token(text: Text, element) -> None:
            weight = T.float32(1)
            if self.weighted:
                text, weight = _split_weight(field, text, element)
            if self._joins:
                text = scope.joined.text(scope.joined.append(scope.joined.start, text))
            accept(text, weight)

        for_each_token(field, row, separators(scope), token)


def separators(scope) -> tuple:
    """The separator bytes of the column: chr(29), and the configured one (chr(29) again if none)."""
    return T.uint8(0x1D), T.cast(scope.int("separator"), "uint8")


def _split_weight(field, text: Text, element) -> tuple:
    """(key, weight) of `key:weight`, or of a map column; without a number behind the first colon the weight is 1."""
    colon = intrin.local("int64", text.address)
    end = intrin.let(text.address + text.length)
    has_map = intrin.let(field[Word.WEIGHT] != T.int64(0))

    def not_colon():
        return intrin.load("uint8", colon[0]) != T.uint8(ord(":"))

    with T.If(has_map):
        with T.Then():
            intrin.assign(colon, end)
        with T.Else(), T.While(T.if_then_else(colon[0] < end, not_colon(), T.bool(False))):
            intrin.assign(colon, colon[0] + T.int64(1))
    weight = intrin.local("float32", 1.0)
    with T.If(has_map):
        with T.Then():
            intrin.assign(weight, field.weight(element))
        with T.Else(), T.If(colon[0] < end), T.Then():
            valid, value = parse_float.emit(intrin.let(colon[0] + T.int64(1)), intrin.let(end - colon[0] - T.int64(1)))
            intrin.assign(weight, T.if_then_else(valid, T.cast(value, "float32"), T.float32(1)))
    return Text(text.address, intrin.let(colon[0] - text.address)), intrin.let(weight[0])
