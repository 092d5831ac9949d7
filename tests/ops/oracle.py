"""Compiled features against their references: the one place that knows how equal they must be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Expression, Feature, FeatureConfig
from tvm_rank.errors import InputError
from tvm_rank.features import program_of
from tvm_rank.ops.dag import references
from tvm_rank.ops.references import reference
from tvm_rank.output import FeatureOutput

FORMULA_TOLERANCE = 1e-6  # relative: NumPy and the C library round functions such as exp differently
SMALLEST = 2e-45  # the distance of two float32 next to zero
Features = Mapping[str, Mapping[str, Any]]  # feature name -> its other keys in fg.json


class Compiled:
    """Features, compiled into one program, with the references beside it."""

    def __init__(
        self,
        features: Features,
        hash_function: str = "std",
        base_dir: str | os.PathLike[str] = ".",
        udfs: Sequence[Any] = (),
        dialect: str = "pyfg",
    ):
        fg = {"features": [{"feature_name": name, **keys} for name, keys in features.items()]}
        self._compile(load_config(fg, hash_function=hash_function, base_dir=base_dir, udfs=udfs, dialect=dialect))

    @classmethod
    def of(cls, fg: Mapping[str, Any]) -> Compiled:
        """The features of a whole configuration."""
        compiled = cls.__new__(cls)
        compiled._compile(load_config(fg))
        return compiled

    def _compile(self, config: FeatureConfig) -> None:
        self.hash_function = config.hash_function
        self.config = config
        self.features = {feature.name: feature for feature in config.features if not feature.stub}
        self.program = program_of(config)

    def reference(self, feature: Feature, columns: Mapping[str, pa.Array], rows: int) -> FeatureOutput:
        """What the definition says of one feature."""
        taken = [columns[field.name] for field in feature.fields]
        return reference(feature, taken, rows, self.hash_function)

    def check(self, columns: Mapping[str, pa.Array]) -> None:
        """Assert that each feature is what its reference says."""
        outputs = self.program(columns)
        assert list(outputs) == list(self.features)
        rows = self._rows(columns)
        wanted = references(self.config, columns, rows)
        for name, feature in self.features.items():
            assert_same(outputs[name], wanted[name], feature)

    def check_refused(self, columns: Mapping[str, pa.Array]) -> None:
        """Assert that the program refuses the columns, and names a feature and a row that the reference refuses too."""
        with pytest.raises(InputError) as error:
            self.program(columns)
        found = re.match(r"feature '(.*)', row (\d+): .*(wants|; )", str(error.value))
        assert found, error.value
        feature, row = self.features[found[1]], int(found[2])
        assert row in self._refused_rows(feature, columns), f"the reference accepts row {row} of {feature.name}: {error.value}"

    def refuses(self, columns: Mapping[str, pa.Array]) -> bool:
        """Whether a reference refuses the columns."""
        try:
            references(self.config, columns, self._rows(columns))
        except InputError:
            return True
        return False

    def _rows(self, columns: Mapping[str, pa.Array]) -> int:
        """The rows of a batch: columns of one row serve all, columns that no feature reads say nothing."""
        return next((len(columns[name]) for name in self.program.fields if len(columns[name]) != 1), 1)

    def _refused_rows(self, feature: Feature, columns: Mapping[str, pa.Array]) -> list[int]:
        """The rows that the reference refuses when they come alone."""

        def alone(row: int) -> dict[str, pa.Array]:
            taken = {field.name: columns[field.name] for field in feature.fields}
            return {name: column.slice(0 if len(column) == 1 else row, 1) for name, column in taken.items()}

        return [row for row in range(self._rows(columns)) if self._refuses(feature, alone(row), 1)]

    def _refuses(self, feature: Feature, columns: Mapping[str, pa.Array], rows: int) -> bool:
        try:
            self.reference(feature, columns, rows)
        except InputError:
            return True
        return False


def assert_same(got: FeatureOutput, wanted: FeatureOutput, feature: Feature) -> None:
    """Assert equality: integers exactly, floats bit by bit (any NaN equals any other), formulas within their tolerance."""
    assert got.texts == wanted.texts, f"{feature.name}: texts are {got.texts}, wanted {wanted.texts}"
    for part in ("values", "lengths", "key_lengths", "weights", "dense"):
        a, b = getattr(got, part), getattr(wanted, part)
        assert (a is None) == (b is None), f"{feature.name}: {part} is {a}, wanted {b}"
        if a is None:
            continue
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{feature.name}.{part}: {a.dtype} {a.shape}, wanted {b.dtype} {b.shape}"
        has_formula = (
            isinstance(getattr(feature, "normalizer", None), Expression)
            or hasattr(feature, "tree")
            or feature.stem == "custom_feature"
        )
        wrong = np.argwhere(~_equal(a, b, has_formula))
        if len(wrong):
            at = tuple(wrong[0])
            raise AssertionError(f"{feature.name}.{part}{list(at)}: {a[at]!r}, wanted {b[at]!r} ({len(wrong)} of {a.size} differ)")


def _equal(a: np.ndarray, b: np.ndarray, has_formula: bool) -> np.ndarray:
    if a.dtype != np.float32:
        return a == b
    same = (a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))
    return same | np.isclose(a, b, rtol=FORMULA_TOLERANCE, atol=SMALLEST) if has_formula else same


def named(cases: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Arguments of `pytest.mark.parametrize` for cases by name."""
    return {"argvalues": list(cases.values()), "ids": list(cases)}
