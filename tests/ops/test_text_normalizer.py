"""text_normalizer: compiled ids behind the library's texts, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import text_normalizer as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

KINDS = (pa.string(), pa.list_(pa.string()), pa.int64(), pa.float64())


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.mark.parametrize("column", **named(cases.COLUMNS))
def test_each_named_column_has_the_ids_of_the_definition(compiled, column):
    compiled.check({"text": column})


@given(data=st.data())
@settings(max_examples=30)
def test_generated_columns_have_the_ids_of_the_definition(compiled, data):
    compiled.check({"text": data.draw(arrow.columns(data.draw(st.sampled_from(arrow.SIZES)), KINDS))})
