"""One operator, one stem: every feature type has all its files; and the runtime agrees with the kernels on how a column looks."""

from __future__ import annotations

import importlib
import inspect
import pathlib

import pyarrow as pa
import pytest

from te_schedules.column import DTYPES, WORDS, Form
from te_schedules.feature import KINDS
from tvm_rank.config import spec
from tvm_rank.config.keys import FEATURE_TYPES, TYPE_KEYS
from tvm_rank.lowering import LOWERINGS
from tvm_rank.runtime import columns

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROLES = (
    "tvm_rank/ops/{stem}.py",
    "tvm_rank/lowering/{stem}.py",
    "te_schedules/feature/{stem}.py",
    "tests/cases/{stem}.py",
    "tests/ops/test_{stem}.py",
)


def spec_class(stem: str) -> type:
    """The class of a feature type in config/spec.py: id_feature -> IdFeature."""
    return getattr(spec, "".join(part.capitalize() for part in stem.split("_")))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("stem", FEATURE_TYPES)
def test_every_feature_type_has_a_file_for_every_role(stem, role):
    assert (ROOT / role.format(stem=stem)).exists()


@pytest.mark.parametrize("role", [role for role in ROLES if "{stem}.py" in role and "test_" not in role])
def test_no_file_is_left_of_a_feature_type_that_is_gone(role):
    folder = ROOT / pathlib.Path(role).parent
    found = {path.stem for path in folder.glob("*_feature.py")}
    assert found == set(FEATURE_TYPES)


@pytest.mark.parametrize("stem", FEATURE_TYPES)
def test_every_feature_type_has_a_class_a_reference_a_kind_and_a_lowering(stem):
    assert issubclass(spec_class(stem), spec.Feature)
    reference = importlib.import_module(f"tvm_rank.ops.{stem}").reference
    assert list(inspect.signature(reference).parameters) == ["feature", "columns", "rows", "hash_function"]
    assert KINDS[stem].stem == stem
    assert KINDS[stem].__module__ == f"te_schedules.feature.{stem}"
    assert LOWERINGS[spec_class(stem)].__module__ == f"tvm_rank.lowering.{stem}"


def test_all_lists_of_feature_types_name_the_same():
    assert set(KINDS) == set(TYPE_KEYS) == set(FEATURE_TYPES)
    assert set(LOWERINGS) == {spec_class(stem) for stem in FEATURE_TYPES}
    specs = {value for value in vars(spec).values() if inspect.isclass(value) and issubclass(value, spec.Feature)}
    assert specs - {spec.Feature} == set(LOWERINGS)


def test_the_runtime_and_the_kernels_agree_on_the_descriptor_of_a_column():
    assert columns.WORDS == WORDS
    names = {Form.TEXT: pa.string(), **{form: getattr(pa, dtype)() for form, dtype in DTYPES.items()}}
    assert {kind: int(form) for form, kind in names.items()} == columns.FORMS
    assert {int(form): kind.bit_width // 8 for form, kind in names.items() if form is not Form.TEXT} == columns.BYTES
    assert {form for form, kind in columns.FORMS.items() if pa.types.is_floating(form)} == {names[Form(f)] for f in columns.FLOATS}
