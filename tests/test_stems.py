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
from tvm_rank.config.keys import KNOWN_TYPES
from tvm_rank.config.types import FEATURE_TYPES, TYPES
from tvm_rank.host.stage import OPERATIONS
from tvm_rank.lowering import LOWERINGS
from tvm_rank.ops.references import REFERENCES
from tvm_rank.runtime import columns

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOSTED_TYPES = tuple(OPERATIONS)  # a library does their work; what is compiled behind it is an id_feature
KERNEL_TYPES = tuple(stem for stem in FEATURE_TYPES if stem not in HOSTED_TYPES)
SHARED_ROLES = (
    "tvm_rank/config/types/{stem}.py",
    "tvm_rank/ops/{stem}.py",
    "tests/cases/{stem}.py",
    "tests/ops/test_{stem}.py",
)
KERNEL_ROLES = ("tvm_rank/lowering/{stem}.py", "te_schedules/feature/{stem}.py")
HOSTED_ROLES = ("tvm_rank/host/{stem}.py",)
TYPES_OF = {
    **dict.fromkeys(SHARED_ROLES, FEATURE_TYPES),
    **dict.fromkeys(KERNEL_ROLES, KERNEL_TYPES),
    **dict.fromkeys(HOSTED_ROLES, HOSTED_TYPES),
}


def spec_class(stem: str) -> type:
    """The class of a feature type: id_feature -> IdFeature."""
    return getattr(TYPES[stem], "".join(part.capitalize() for part in stem.split("_")))


@pytest.mark.parametrize(("role", "stem"), [(role, stem) for role, stems in TYPES_OF.items() for stem in stems])
def test_every_feature_type_has_a_file_for_every_role(stem, role):
    assert (ROOT / role.format(stem=stem)).exists()


@pytest.mark.parametrize("role", [role for role in TYPES_OF if "test_" not in role])
def test_no_file_is_left_of_a_feature_type_that_is_gone(role):
    folder = ROOT / pathlib.Path(role).parent
    found = {path.stem for path in folder.glob("*.py")} & set(KNOWN_TYPES)
    assert found == set(TYPES_OF[role])


@pytest.mark.parametrize("stem", FEATURE_TYPES)
def test_every_feature_type_has_a_class_and_a_reference(stem):
    assert issubclass(spec_class(stem), spec.Feature)
    assert spec_class(stem).stem == stem
    assert TYPES[stem].__name__ == f"tvm_rank.config.types.{stem}"
    assert list(inspect.signature(TYPES[stem].read).parameters) == ["section", "common", "base_dir"]
    reference = importlib.import_module(f"tvm_rank.ops.{stem}").reference
    assert list(inspect.signature(reference).parameters) == ["feature", "columns", "rows", "hash_function"]
    assert REFERENCES[stem] is reference


@pytest.mark.parametrize("stem", KERNEL_TYPES)
def test_every_feature_type_of_kernels_has_a_kind_and_a_lowering(stem):
    assert KINDS[stem].stem == stem
    assert KINDS[stem].__module__ == f"te_schedules.feature.{stem}"
    assert LOWERINGS[stem].__module__ == f"tvm_rank.lowering.{stem}"


def test_all_lists_of_feature_types_name_the_same_and_known_ones():
    assert list(REFERENCES) == list(FEATURE_TYPES)
    assert list(KINDS) == list(LOWERINGS) == list(KERNEL_TYPES)
    assert set(FEATURE_TYPES) <= set(KNOWN_TYPES)


def test_the_runtime_and_the_kernels_agree_on_the_descriptor_of_a_column():
    assert columns.WORDS == WORDS
    names = {Form.TEXT: pa.string(), **{form: getattr(pa, dtype)() for form, dtype in DTYPES.items()}}
    assert {kind: int(form) for form, kind in names.items()} == columns.FORMS
    assert {int(form): kind.bit_width // 8 for form, kind in names.items() if form is not Form.TEXT} == columns.BYTES
    assert {form for form, kind in columns.FORMS.items() if pa.types.is_floating(form)} == {names[Form(f)] for f in columns.FLOATS}
