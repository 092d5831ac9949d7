"""Two feature programs, one behind the other: the texts of the first are columns of the second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.host.before import MadeColumn
from tvm_rank.output import FeatureOutput
from tvm_rank.runtime.columns import as_columns
from tvm_rank.runtime.program import FeatureProgram


class ChainedProgram(FeatureProgram):
    """A program whose host stages read features. `made`: feature of `before` -> the column of `then` that has its texts."""

    def __init__(self, before: FeatureProgram, then: FeatureProgram, made: Mapping[str, MadeColumn]):
        self._before, self._then, self._made = before, then, made
        self.plan = then.plan

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that a call needs."""
        made = {column.name for column in self._made.values()}
        own = (name for name in self._then.fields if name not in made)
        return tuple(dict.fromkeys((*self._before.fields, *own)))

    def __call__(self, columns: Any) -> dict[str, FeatureOutput]:
        """All features of the rows of `columns`, as of any program."""
        given, _ = as_columns(columns, "columns")
        first = self._before(given)
        texts = {column.name: text_column(first[name].texts, single=column.single) for name, column in self._made.items()}
        return self._then({**given, **texts})


def text_column(texts: pa.ListArray | None, *, single: bool) -> pa.Array:
    """The texts of a feature as a column: lists, or where they are single one text a row, null in a row that has none."""
    assert texts is not None, "the configuration was split so that it gives texts"
    return pc.list_element(pc.list_slice(texts, 0, 1, return_fixed_size_list=True), 0) if single else texts
