"""tokenize_feature: compiled ids behind the library's texts, against the definition."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cases import columns as arrow
from cases import tokenize_feature as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Compiled, named

from tvm_rank.errors import InputError

KINDS = (pa.string(), pa.int64(), pa.float64())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return Compiled(cases.FEATURES, base_dir=cases.write_models(tmp_path_factory.mktemp("models")))


@pytest.mark.parametrize("column", **named(cases.COLUMNS))
def test_each_named_column_has_the_ids_of_the_definition(compiled, column):
    compiled.check({"text": column})


@given(data=st.data())
@settings(max_examples=30)
def test_generated_columns_have_the_ids_of_the_definition(compiled, data):
    compiled.check({"text": data.draw(arrow.columns(data.draw(st.sampled_from(arrow.SIZES)), KINDS))})


def test_a_column_of_lists_is_refused(compiled):
    column = arrow.column([[b"red"]], pa.list_(pa.string()))
    assert compiled.refuses({"text": column})
    with pytest.raises(InputError, match="takes one text a row; join the texts before"):
        compiled.program({"text": column})


def test_a_row_does_not_depend_on_the_others(compiled):
    column = cases.COLUMNS["texts"]
    whole = compiled.program({"text": column})
    for name in compiled.features:
        alone = [compiled.program({"text": column.slice(row, 1)})[name].values.tolist() for row in range(len(column))]
        assert whole[name].values.tolist() == [number for row in alone for number in row]
