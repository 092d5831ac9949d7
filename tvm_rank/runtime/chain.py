"""Two feature programs, one behind the other: the texts of the first are columns of the second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.output import FeatureOutput
from tvm_rank.runtime.columns import as_columns
from tvm_rank.runtime.program import FeatureProgram


class ChainedProgram(FeatureProgram):
    """A program whose host stages read features. `made`: feature of `before` -> the column of `then` that has its texts."""

    def __init__(self, before: FeatureProgram, then: FeatureProgram, made: Mapping[str, str]):
        self._before, self._then, self._made = before, then, made
        self.plan = then.plan

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that a call needs."""
        own = (name for name in self._then.fields if name not in self._made.values())
        return tuple(dict.fromkeys((*self._before.fields, *own)))

    def __call__(self, columns: Any) -> dict[str, FeatureOutput]:
        """All features of the rows of `columns`, as of any program."""
        given, _ = as_columns(columns, "columns")
        first = self._before(given)
        texts = {column: one_text(first[name].texts) for name, column in self._made.items()}
        return self._then({**given, **texts})


def one_text(texts: pa.ListArray | None) -> pa.Array:
    """A column of texts where no row has several; null where a row has none."""
    assert texts is not None, "the configuration was split so that it gives texts"
    most = pc.max(pc.list_value_length(texts)).as_py() or 0
    return texts if most > 1 else pc.list_element(_padded(texts), 0)


def _padded(texts: pa.ListArray) -> pa.ListArray:
    """A null in each row that has no text."""
    return pc.list_slice(texts, 0, 1, return_fixed_size_list=True)
