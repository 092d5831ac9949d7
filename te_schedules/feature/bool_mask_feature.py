"""bool_mask_feature: the values of one field whose place in a mask is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm.script.ir_builder import tirx as T

from te_schedules import bucketize, intrin
from te_schedules.feature.id_feature import separators
from te_schedules.feature.join import Pieces
from te_schedules.feature.kind import TextKind
from te_schedules.places import Places
from te_schedules.tokens import Text, find_splits

LOWER_CASE = 0x20202020
TRUE = int.from_bytes(b"true", "little")


@dataclass(frozen=True)
class BoolMaskKind(TextKind):
    """`bucketizer` is a name of `te_schedules.bucketize` (NONE: texts); `prefixed` texts start with the column's array `prefix`. Fields:
    values, mask."""

    bucketizer: str
    prefixed: bool = False

    stem: ClassVar[str] = "bool_mask_feature"

    @property
    def inputs(self) -> int:
        """Values and mask."""
        return 2

    def prepare(self, scope, first_row, end_row) -> None:
        """Read the constants of the column; make room for prefixed texts."""
        bucketize.bind_constants(self.bucketizer, scope)
        scope.bind("separator")
        find_splits(scope, first_row, end_row, separators(scope))
        scope.state = Pieces(scope)

    def emit_texts(self, scope, row, accept) -> None:
        """Emit the texts of one row."""
        values, mask = (Places(field, row, separators(scope)) for field in scope.fields)
        prefixed = self.prefixed and self.bucketizer != bucketize.NUM_BUCKETS
        going = intrin.local("int64", 1)
        with T.While(going[0] == T.int64(1)):
            values.advance()
            mask.advance()
            intrin.assign(going, T.cast(T.And(values.has_one, mask.has_one), "int64"))
            with T.If(going[0] == T.int64(1)), T.Then():
                text = values.text()
                with T.If(T.And(text.length > T.int64(0), _is_true(mask.text()))), T.Then():
                    accept(scope.state.joined((text,), prefixed=prefixed), T.float32(1))


def _is_true(text: Text):
    """Condition: the text is `1`, or `true` in any case."""
    found = intrin.local("bool", T.bool(False))
    with T.If(text.length == T.int64(1)), T.Then():
        intrin.assign(found, intrin.load("uint8", text.address) == T.uint8(ord("1")))
    with T.If(text.length == T.int64(4)), T.Then():
        letters = T.bitwise_or(intrin.load("int32", text.address), T.int32(LOWER_CASE))
        intrin.assign(found, letters == T.int32(TRUE))
    return found[0]
