"""Hostile rows in every input of feature types, in an artifact: scores, or a refusal that names the feature, and soon.

The rows are small here, and the types are those that `test_hostile_rows.py` and `test_hostile_numbers.py` leave out;
`scripts/check_hostile.py` has all types, by themselves and in artifacts, and rows in full size.
"""

from __future__ import annotations

import pathlib
import sys
import time

import numpy as np
import pytest
from ops.identity_model import identity_model

import tvm_rank
from tvm_rank.config.types import FEATURE_TYPES
from tvm_rank.errors import InputError

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from fuzzing import hostile

OPTIMIZED = True  # see tests/conftest.py

SIZE, SECONDS = 10_000, 20.0  # bytes of a text; generous: the machine may be busy
SERVED = ("id", "look", "match", "dot", "typo", "replaced", "clicks")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("hostile") / "artifact"
    model = identity_model({name: hostile.shape_of(name) for name in SERVED})
    tables = {"t": np.ones((500, 4), np.float32)}
    tvm_rank.compile(features=hostile.configuration(SERVED), model=model, tables=tables).save(path)
    return tvm_rank.load(path)


@pytest.fixture(scope="module")
def rows():
    return {name: make() for name, make in hostile.rows(SIZE).items()}


def others(names, name: str, side: str) -> dict:
    """Harmless columns of a side for all features but one."""
    entries = [entry.split(":") for other in names if other != name for entry in hostile.inputs_of(other)]
    return {column: ["a"] for on, column in entries if on == side}


def ends_well(name: str, call, rows) -> int:
    """How many of the calls were refused; none may take long, or fail in another way."""
    refused = 0
    for what, user, items in hostile.calls(name, rows):
        begun = time.perf_counter()
        try:
            call(user, items)
            message = name
        except InputError as error:
            message, refused = str(error), refused + 1
        assert name in message, what
        assert time.perf_counter() - begun < SECONDS, what
    return refused


@pytest.mark.parametrize("name", SERVED)
def test_an_engine_takes_hostile_rows_or_refuses_them_by_name(engine, rows, name):
    harmless = {side: others(SERVED, name, side) for side in ("user", "item")}
    refused = ends_well(name, lambda user, items: engine.rank({**harmless["user"], **user}, {**harmless["item"], **items}), rows)
    assert refused < len(list(hostile.calls(name, rows)))


def test_every_type_is_here():
    assert {keys["feature_type"].removeprefix("sequence_") for keys in hostile.TYPES.values()} == set(FEATURE_TYPES)


def test_formulas_of_endless_depth_are_refused_with_their_place():
    for formula in ("(" * 5000 + "x" + ")" * 5000, "-" * 5000 + "x", "+".join(["x"] * 5000)):
        keys = {"feature_name": "deep", "feature_type": "expr_feature", "expression": formula, "variables": ["user:x"]}
        with pytest.raises(tvm_rank.errors.ConfigError, match=r"features\[0\].expression"):
            tvm_rank.compile_features({"features": [keys]})
