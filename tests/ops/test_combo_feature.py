"""combo_feature in compiled kernels: products of two and three fields of all types, against the definition."""

from __future__ import annotations

import pytest
from cases import columns as arrow
from cases import combo_feature as cases
from hypothesis import given
from hypothesis import strategies as st
from oracle import Compiled, named

FIELDS = ("left", "right", "third")


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled(cases.FEATURES)


@pytest.fixture(scope="module")
def farm() -> Compiled:
    return Compiled(cases.HASHED, "farm")


@pytest.mark.parametrize("columns", **named(cases.COLUMNS))
def test_each_named_batch_has_the_ids_of_the_definition(compiled, farm, columns):
    batch = dict(zip(FIELDS, columns, strict=True))
    compiled.check(batch)
    farm.check(batch)


@st.composite
def batches(draw):
    rows = draw(st.sampled_from(arrow.SIZES))
    return {field: draw(arrow.columns(rows, arrow.TYPES)) for field in FIELDS}


@given(columns=batches())
def test_generated_batches_have_the_ids_of_the_definition(compiled, columns):
    compiled.check(columns)


@given(columns=batches())
def test_generated_batches_have_the_farm_hashes_of_the_definition(farm, columns):
    farm.check(columns)
