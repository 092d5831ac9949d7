"""An item store over tables in few bits: scores, what is computed ahead, and new items are those of the numbers that the rows mean."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from store_cases import ITEMS, KEYS, item_table, small_model
from test_item_store import fields

import tvm_rank
from tvm_rank.errors import ModelError
from tvm_rank.ops.table_rows import decode, encode

PRECISIONS = {"tags": "int4", "city": "fp16", "*": "int8"}


def meant() -> dict[str, np.ndarray]:
    """The tables as their rows are read."""
    made = {}
    for name, table in small_model.tables().items():
        precision = PRECISIONS.get(name, PRECISIONS["*"])
        made[name] = decode(encode(table, precision), precision, table.shape[1])
    return made


def given(tables: dict[str, np.ndarray]) -> dict:
    return {"features": small_model.features(), "model": small_model.model(), "tables": tables}


@pytest.mark.parametrize("materialize", ["none", "dense"])
def test_a_store_serves_what_the_rows_mean_before_and_after_a_refresh(materialize: str, tmp_path):
    options = {"items": item_table("string"), "item_key": "key", "materialize": materialize, "table_precision": PRECISIONS}
    tvm_rank.compile(**given(small_model.tables()), **options).save(tmp_path / "store")
    tvm_rank.compile(**given(meant())).save(tmp_path / "plain")
    plain, rows = tvm_rank.load(tmp_path / "plain"), np.random.default_rng(3).integers(0, ITEMS, 70).tolist()
    for seed in (0, 7):
        if seed:
            tvm_rank.refresh(tmp_path / "store", item_table("string", seed))
        engine = tvm_rank.load(tmp_path / "store", tables="memory" if seed else "mapped")
        assert {(s.dim, s.precision) for s in engine.manifest.stacks} == {(small_model.DIM, p) for p in PRECISIONS.values()}
        got = engine.rank(user=small_model.user(), items=KEYS["string"].take(pa.array(rows)))["score"]
        want = plain.rank(user=small_model.user(), items=fields(item_table("string", seed), rows))["score"]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_what_a_precision_cannot_hold_is_refused_by_table_and_row_and_nothing_is_left(tmp_path):
    tables = small_model.tables()
    tables["tags"][7, 2] = np.nan
    artifact = tvm_rank.compile(**given(tables), table_precision={"tags": "int8"})
    with pytest.raises(ModelError, match=r"table 'tags': row 7 holds nan, for which int8 has no number; correct it"):
        artifact.save(tmp_path / "artifact")
    assert list(tmp_path.iterdir()) == []


def test_unknown_precisions_and_tables_are_refused_at_once():
    with pytest.raises(tvm_rank.RankError) as caught:
        tvm_rank.compile(**given(small_model.tables()), table_precision={"tag": "int8", "city": "fp8"})
    text = str(caught.value)
    assert "city: 'fp8' is no precision; give one of fp32, fp16, bf16, int8, int4" in text
    assert "no feature of the model looks up a table 'tag'; did you mean 'tags'?" in text
