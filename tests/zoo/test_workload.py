"""The files of the zoo: the same for the same seed, quick to write, with the awkward values in them."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Callable

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from tvm_rank import zoo
from tvm_rank.zoo import deepfm_data, workload

FILES = ["fg.json", "items.arrow", "model.onnx", "tables.safetensors", "user.arrow"]


@pytest.mark.parametrize("name", zoo.MODELS)
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(name: str, tmp_path: pathlib.Path):
    start = time.perf_counter()
    first = zoo.build(name, tmp_path / "first", seed=3)
    assert time.perf_counter() - start < 2
    again = zoo.build(name, tmp_path / "again", seed=3)
    other = zoo.build(name, tmp_path / "other", seed=4)
    assert sorted(path.name for path in first.folder.iterdir()) == FILES
    for file in FILES:
        assert (first.folder / file).read_bytes() == (again.folder / file).read_bytes()
    for file in ("items.arrow", "model.onnx", "tables.safetensors"):
        assert (first.folder / file).read_bytes() != (other.folder / file).read_bytes()


@pytest.mark.parametrize("name", zoo.MODELS)
def test_items_name_the_row_of_their_request(name: str, tmp_path: pathlib.Path):
    built = zoo.build(name, tmp_path, requests=3, items=5)
    assert built.read_user().num_rows == 3
    assert built.read_items().schema.field("request").type == pa.int32()
    assert workload.request_of(built.read_items()).tolist() == [0] * 5 + [1] * 5 + [2] * 5
    part = built.read_items(1)
    assert part.num_rows == 5
    assert "request" not in part.column_names
    assert part.equals(built.read_items().slice(5, 5).drop_columns(["request"]))
    assert built.read_user(1).equals(built.read_user().slice(1, 1))


@pytest.mark.parametrize("name", [name for name, model in zoo.MODELS.items() if model.dense])
def test_numpy_dense_part_agrees_with_onnxruntime(name: str, tmp_path: pathlib.Path):
    built = zoo.build(name, tmp_path, items=4)
    session = onnxruntime.InferenceSession(str(built.model), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {
        entry.name: rng.integers(0, 6, (33, 1))
        if entry.type == "tensor(int64)"
        else rng.normal(0, 0.3, (33, entry.shape[1])).astype(np.float32)
        for entry in session.get_inputs()
    }
    (expected,) = session.run(["score"], feeds)
    logits = zoo.MODELS[name].dense(feeds, built.read_weights())
    assert logits.shape == (33, 1)
    assert expected.std() > 0.01
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, atol=3e-6)


def test_the_shop_has_gaps_empty_values_and_several_scripts(tmp_path: pathlib.Path):
    built = zoo.build("deepfm", tmp_path)
    columns = built.read_items().to_pydict()
    for name in ("category", "brand", "tags", "title", "price", "rating", "clicks"):
        assert None in columns[name]
    assert "" in columns["brand"]
    assert "" in columns["rating"]
    assert [] in columns["tags"]
    assert any(len(text.encode()) > len(text) for text in columns["category"] if text)
    assert any(len(city.encode()) > 55 for city in deepfm_data.CITIES)


def test_the_tables_of_the_shop_fit_its_features(tmp_path: pathlib.Path):
    built = zoo.build("deepfm", tmp_path)
    tables = built.read_tables()
    for entry in json.loads(built.features.read_text(encoding="utf-8"))["features"]:
        if "embedding_dim" in entry:
            rows, dim = tables[entry["embedding_name"]].shape
            assert dim == entry["embedding_dim"]
            assert rows >= entry.get("hash_bucket_size", entry.get("num_buckets", 0))
            assert rows > len(entry.get("boundaries", []))


def test_a_model_that_the_zoo_lacks_is_refused_with_those_it_has(tmp_path: pathlib.Path):
    with pytest.raises(ValueError, match=r"no model 'deepfn'; it has deepfm, criteo, lr, "):
        zoo.build("deepfn", tmp_path)


def test_the_zoo_does_not_load_tvm(fresh_python: Callable[..., str], tmp_path: pathlib.Path):
    code = "import sys; from tvm_rank import zoo; zoo.oracle(zoo.build('deepfm', '.', items=2)); print('tvm' in sys.modules)"
    assert fresh_python(code, cwd=tmp_path).strip() == "False"
