"""What `compile` takes as tables and options, and what it refuses before any code is generated."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from two_columns import DIM, ROWS, TABLE, WEIGHT, bucket, config, number, product

import tvm_rank

FEATURES = config(bucket("level", "item:level"), number("price", "item:price"))
MODEL = product(["level", "price"], [DIM, 1])
ITEMS = {"level": [0, ROWS - 1, 5], "price": [1.0, -2.0, 0.5]}


def as_folder(folder: pathlib.Path) -> pathlib.Path:
    np.save(folder / "level.npy", TABLE)
    np.save(folder / "unused.npy", TABLE)
    return folder


def as_safetensors(folder: pathlib.Path) -> pathlib.Path:
    save_file({"level": TABLE}, folder / "tables.safetensors")
    return folder / "tables.safetensors"


FORMS = {"dict": lambda _: {"level": TABLE}, "folder-with-an-unused-table": as_folder, "safetensors": as_safetensors}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_tables_come_in_every_form(form: Any, tmp_path: pathlib.Path):
    (tmp_path / "tables").mkdir()
    tvm_rank.compile(features=FEATURES, model=MODEL, tables=form(tmp_path / "tables")).save(tmp_path / "artifact")
    scores = tvm_rank.load(tmp_path / "artifact").rank(items=ITEMS)["score"]
    expected = np.hstack([TABLE[ITEMS["level"]], np.float32(ITEMS["price"])[:, None]]) @ WEIGHT
    np.testing.assert_allclose(scores, expected, atol=1e-5)


REFUSED_TABLES = {
    "not-given": (None, r"look up 1 table.*\(level\); give them as `tables`"),
    "missing": ({"levle": TABLE}, r"table 'level' is missing \(used by level\).*levle"),
    "too-few-rows": ({"level": TABLE[:-1]}, rf"'level' has {ROWS - 1} rows.*at least {ROWS} rows"),
    "another-width": ({"level": TABLE[:, :2]}, rf"'level' is 2 wide where embedding_dim says {DIM}"),
    "no-matrix": ({"level": TABLE[0]}, r"'level' has shape \(4,\); wanted \(rows, dim\)"),
    "no-floats": ({"level": TABLE.astype(np.int32)}, r"'level' has dtype int32; wanted float32"),
    "no-file": ("nowhere.safetensors", r"nowhere.safetensors.*\n.*no such file or folder"),
}


@pytest.mark.parametrize("case", REFUSED_TABLES)
def test_tables_that_do_not_fit_are_refused(case: str):
    tables, message = REFUSED_TABLES[case]
    with pytest.raises(tvm_rank.ModelError, match=f"(?s){message}"):
        tvm_rank.compile(features=FEATURES, model=MODEL, tables=tables)


def test_a_precision_that_is_unknown_is_refused_with_those_there_are():
    with pytest.raises(tvm_rank.RankError, match="precision 'int4': give fp32, bf16, fp16, tf32, int8 or auto"):
        tvm_rank.compile(features=FEATURES, model=MODEL, tables={"level": TABLE}, precision="int4")


@pytest.mark.parametrize("tuning", ["nowhere.tuning", 5], ids=str)
def test_a_tuning_that_is_no_database_is_refused(tuning: object):
    with pytest.raises(tvm_rank.RankError, match="tuning"):
        tvm_rank.compile(features=FEATURES, model=MODEL, tables={"level": TABLE}, tuning=tuning)


@pytest.mark.parametrize("target", ["x86-64-v9", {"kind": "c"}, 5], ids=str)
def test_a_target_that_is_unknown_or_not_built_is_refused_with_those_there_are(target: object):
    with pytest.raises(tvm_rank.TargetError, match="x86-64-v3, x86-64-v4, sapphirerapids, aarch64"):
        tvm_rank.compile(features=FEATURES, model=MODEL, tables={"level": TABLE}, target=target)


def test_the_problems_of_a_configuration_come_before_those_of_the_model():
    with pytest.raises(tvm_rank.ConfigError, match="hash_bucket_sise"):
        tvm_rank.compile(features=config(number("price", "item:price", hash_bucket_sise=3)), model=MODEL)


def test_an_input_that_no_feature_feeds_is_refused_with_the_nearest_name():
    with pytest.raises(tvm_rank.ModelError, match=r"input 'prices' is neither a feature nor a group.*price"):
        tvm_rank.compile(features=FEATURES, model=product(["level", "prices"], [DIM, 1]), tables={"level": TABLE})
