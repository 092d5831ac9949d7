"""The fields that a descriptor table has, in order of first use, and the inputs of each feature among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tvm_rank.config.spec import CONST, FEATURE, Feature, Field
from tvm_rank.errors import RankError
from tvm_rank.runtime.columns import MAPS, NUMBER, FieldUse

TEXT_OF = "text:"  # before the name of a feature: the producer that writes its numbers as texts


class FieldTable:
    """Collects the uses of fields; the number of a use is its row in the descriptor table. `features`: those that others may read."""

    def __init__(self, features: Iterable[Feature] = ()) -> None:
        self.features = {feature.name: feature for feature in features}
        self._rows: dict[FieldUse, int] = {}
        self.constants: dict[str, str] = {}  # name of the producer -> its text
        self.number_texts: dict[str, Feature] = {}  # name of the producer -> the feature whose numbers it writes as texts

    def add(self, use: FieldUse) -> int:
        """The row of a use."""
        return self._rows.setdefault(use, len(self._rows))

    @property
    def uses(self) -> tuple[FieldUse, ...]:
        """All uses, by row."""
        return tuple(self._rows)


class FeatureFields:
    """The inputs of one feature, as its lowering asks for them. `inputs` are the features among them, `elements` says for each number
    that was given whether the input is read element by element."""

    def __init__(self, table: FieldTable, feature: Feature):
        self._table, self._feature = table, feature
        self.inputs: list[str] = []
        self.elements: dict[int, bool] = {}

    def row(self, field: Field, role: str) -> int:
        """The number of a field read as `role` (text, number, weighted ...): its row, or -(k + 1) for the feature `inputs[k]`."""
        feature = self._feature
        splits = feature.reads_elements(field)
        legacy: dict[str, Any] = {"legacy": feature.legacy, "invalid_values": feature.invalid_values}
        use = FieldUse(side=field.side, name=field.name, role=role, elements=splits, **legacy)
        number = self._made(field, role) if field.side in (FEATURE, CONST) else self._table.add(use)
        self.elements[number] = splits
        return number

    def _made(self, field: Field, role: str) -> int:
        name = field.name
        if field.side == CONST:
            name = f"const:{field.name}"
            self._table.constants[name] = field.name
        elif role != NUMBER and (read := self._read_as_text(field, role)) is not None:
            name = TEXT_OF + field.name
            self._table.number_texts[name] = read
        if name not in self.inputs:
            self.inputs.append(name)
        return -1 - self.inputs.index(name)

    def _read_as_text(self, field: Field, role: str) -> Feature | None:
        """The feature that the field names, if it gives float32, whose texts are asked for. Raises RankError where they would be a map."""
        read = self._table.features.get(field.name)
        if read is None or not read.numbers or read.bucketizer is not None:
            return None
        if role in MAPS:
            raise RankError(
                f"{self._feature.path}: {self._feature.stem} reads `key:value`, and feature:{read.name} ({read.path}) gives numbers; give "
                "it a feature of texts, or a column"
            )
        return read
