"""materialize="ids": features of every form are read from the store with the same scores, in both layouts, whatever the file holds."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pytest
from ops.identity_model import identity_model

import tvm_rank

DIM, SPACE, ITEMS, LENGTH = 4, 50, 40, 3
ID = {"feature_type": "id_feature", "hash_bucket_size": SPACE, "embedding_dim": DIM}
FEATURES = {
    "single": ID | {"expression": "item:brand", "value_dim": 1, "default_value": "none"},
    "several": ID | {"expression": "item:tags", "separator": "|", "combiner": "sum"},
    "weighted": ID | {"expression": "item:weights", "weighted": True, "combiner": "mean"},
    "vector": {"feature_type": "raw_feature", "expression": "item:vector", "value_dim": 2, "normalizer": "method=log10"},
    "bucketed": {"feature_type": "raw_feature", "expression": "item:price", "boundaries": [1, 2, 4], "embedding_dim": DIM},
    "read": ID | {"expression": "feature:stub"},
    "stub": {"feature_type": "combo_feature", "expression": ["item:brand", "item:tags"], "stub_type": True},
    "again": ID | {"expression": "item:brand", "value_dim": 1, "default_value": "none", "embedding_name": "again"},
    "crossed": {"feature_type": "combo_feature", "expression": ["user:city", "item:brand"]} | {k: ID[k] for k in list(ID)[1:]},
    "sequence": ID | {"feature_type": "sequence_id_feature", "expression": "item:seen", "sequence_length": LENGTH,
                      "sequence_delim": ";", "value_dim": 1},
}  # fmt: skip
WIDTHS = {name: DIM for name in FEATURES if name not in ("stub", "vector", "sequence")} | {"vector": 2, "sequence": (LENGTH, DIM)}
FG = {"features": [{"feature_name": name, **keys} for name, keys in FEATURES.items()]}


def items() -> pa.Table:
    brands = [None if k % 7 == 3 else f"brand {k % 5}" for k in range(ITEMS)]
    tags = [None if k % 11 == 2 else "|".join(f"t{k * j % 9}" for j in range(k % 4)) for k in range(ITEMS)]
    weights = [[(f"w{j}", 0.5 + j) for j in range(k % 3)] for k in range(ITEMS)]
    vectors = [None if k % 9 == 4 else [float(k), k / 3] for k in range(ITEMS)]
    seen = [None if k % 10 == 1 else ";".join(f"s{k * j % 8}" for j in range(k % 5)) for k in range(ITEMS)]
    return pa.table(
        {
            "key": [f"sku {k}" for k in range(ITEMS)],
            "brand": brands,
            "tags": tags,
            "weights": pa.array(weights, pa.map_(pa.string(), pa.float32())),
            "vector": pa.array(vectors, pa.list_(pa.float32())),
            "price": pa.array([None if k % 6 == 5 else k / 8 for k in range(ITEMS)], pa.float32()),
            "seen": seen,
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tvm_rank.Engine]:
    rng = np.random.default_rng(0)
    names = {feature.get("embedding_name", feature["feature_name"]) for feature in FG["features"] if "embedding_dim" in feature}
    given = {
        "features": FG,
        "model": identity_model(WIDTHS),
        "tables": {name: rng.standard_normal((SPACE, DIM)).astype(np.float32) for name in sorted(names)},
        "items": items(),
        "item_key": "key",
    }
    folder, engines = tmp_path_factory.mktemp("kept"), {}
    for level, layout in (("none", "columns"), ("ids", "columns"), ("ids", "rows")):
        tvm_rank.compile(**given, materialize=level, store_layout=layout).save(folder / f"{level}-{layout}")
        engines[f"{level}-{layout}"] = tvm_rank.load(folder / f"{level}-{layout}")
    engines["folder"] = folder
    return engines


USER = {"city": ["rome"]}
IDS = [*(f"sku {k}" for k in range(ITEMS)), "who?", None]


@pytest.mark.parametrize("layout", ["columns", "rows"])
def test_every_form_has_the_scores_of_fields(made, layout: str):
    want, got = (made[name].rank(user=USER, items=IDS) for name in ("none-columns", f"ids-{layout}"))
    assert set(got) == {f"{name}_out" for name in WIDTHS}
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
        assert np.ptp(values.reshape(len(IDS), -1), axis=0).max() > 0, name
    assert got.missing.tolist() == [ITEMS, ITEMS + 1]


def test_the_store_has_compact_columns_and_no_texts_but_those_that_are_crossed(made):
    (entry,) = made["ids-columns"].manifest.store
    schema = pa.ipc.open_file(str(made["folder"] / "ids-columns" / "items" / "items.arrow")).schema
    types = {field.name.removeprefix("ids of feature "): str(field.type) for field in schema}
    assert types == {
        "key": "string",
        "brand": "string",  # crossed with the city
        "single": "int32",
        "several": "list<item: int32>",
        "weighted": "map<int32, float>",
        "numbers of feature vector": "list<item: float>",
        "bucketed": "int32",
        "read": "list<item: int32>",
        "sequence": "list<item: int32>",
    }
    assert "again" not in types, "it has the ids of single"
    assert entry.materialized == "ids"


def test_ids_of_a_changed_file_read_no_other_memory(made, tmp_path: pathlib.Path):
    import shutil

    copy = pathlib.Path(shutil.copytree(made["folder"] / "ids-columns", tmp_path / "copy"))
    file = copy / "items" / "items.arrow"
    single = pa.ipc.open_file(str(file)).get_batch(0).column("ids of feature single")
    contents = bytearray(file.read_bytes())
    at = contents.find(single.buffers()[1].to_pybytes()[: 4 * len(single)])
    contents[at : at + 8] = np.array([2**31 - 1, -5], np.int32).tobytes()
    file.write_bytes(contents)
    got = tvm_rank.load(copy, verify=False).rank(user=USER, items=IDS[:2])
    assert (got["single_out"][0] == got["single_out"][1]).all(), "both are id 0"


def test_refresh_keeps_ids_of_new_items(made, tmp_path: pathlib.Path):
    import shutil

    copies = [pathlib.Path(shutil.copytree(made["folder"] / name, tmp_path / name)) for name in ("none-columns", "ids-rows")]
    more = items().take(pa.array(np.arange(ITEMS)[::-1].copy())).slice(5)
    for copy in copies:
        tvm_rank.refresh(copy, more)
    want, got = (tvm_rank.load(copy).rank(user=USER, items=IDS) for copy in copies)
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    assert got.missing.size == 5 + 2


def test_an_item_that_a_feature_refuses_is_named_by_its_row(made, tmp_path: pathlib.Path):
    import shutil

    copy = pathlib.Path(shutil.copytree(made["folder"] / "ids-columns", tmp_path / "copy"))
    table = items()
    vectors = table["vector"].to_pylist()
    vectors[17] = [1.0]
    bad = table.set_column(table.column_names.index("vector"), "vector", pa.array(vectors, pa.list_(pa.float32())))
    with pytest.raises(tvm_rank.InputError, match="feature 'vector', row 17: wants 2 values a row"):
        tvm_rank.refresh(copy, bad)
