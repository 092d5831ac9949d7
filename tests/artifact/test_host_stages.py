"""Features of libraries inside an artifact: carried, run on both sides of a request, and refused clearly when something lacks."""

from __future__ import annotations

import pathlib
import shutil
import sys

import numpy as np
import pyarrow as pa
import pytest
from cases.tokenize_feature import write_models
from ops.identity_model import identity_model

import tvm_rank
from tvm_rank.artifact import store
from tvm_rank.errors import ArtifactError, InputError

QUERIES = ["Red  Shirt", "新款 連衣裙", None]
TITLES = ["id7 red cotton", "id42", "", None, "blue dress 100%"]
FEATURES = {
    "query": {"feature_type": "tokenize_feature", "expression": "user:query", "vocab_file": "tokenizer.json", "value_dim": 0},
    "plain": {"feature_type": "text_normalizer", "expression": "user:query", "hash_bucket_size": 50},
    "title": {"feature_type": "tokenize_feature", "expression": "item:title", "vocab_file": "spiece.model",
              "tokenizer_type": "sentencepiece"},
    "digits": {"feature_type": "regex_replace_feature", "expression": "item:title", "regex_pattern": "[^0-9]", "replacement": "",
               "num_buckets": 60},
}  # fmt: skip
FG = {"features": [{"feature_name": name, "embedding_dim": 4, **keys} for name, keys in FEATURES.items()]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((400, 4)).astype(np.float32) for name in FEATURES}


@pytest.fixture(scope="module")
def hosted(models, tables, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("hosted") / "artifact"
    model = identity_model(dict.fromkeys(FEATURES, 4))
    tvm_rank.compile(features=FG, model=model, tables=tables, base_dir=models).save(path)
    return path


def test_its_samples_score_as_the_references_say(hosted: pathlib.Path):
    assert (report := tvm_rank.check(hosted, rounds=1)).ok, report


def as_kind(kind: str, columns: dict[str, list]):
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    if kind == "dict":
        return columns
    return pa.table(arrays) if kind == "table" else pa.RecordBatch.from_pydict(arrays)


@pytest.mark.parametrize("kind", ["dict", "table", "batch"])
def test_an_engine_ranks_as_the_feature_program_says(hosted, models, tables, kind):
    engine = tvm_rank.load(hosted)
    requests = np.array([0, 1, 2, 0, 1])
    scores = engine.rank(user=as_kind(kind, {"query": QUERIES}), items=as_kind(kind, {"title": TITLES}), item_request=requests)
    program = tvm_rank.compile_features(FG, base_dir=models)
    wanted = program({"query": [QUERIES[r] for r in requests], "title": TITLES})
    for name in FEATURES:
        ids = np.split(wanted[name].values, np.cumsum(wanted[name].lengths)[:-1])
        pooled = np.stack([tables[name][row].mean(axis=0) if len(row) else np.zeros(4, np.float32) for row in ids])
        np.testing.assert_allclose(scores[f"{name}_out"], pooled, rtol=1e-5, atol=1e-6)


def test_the_manifest_names_libraries_versions_and_files(hosted):
    manifest = store.read(hosted)
    libraries = {stage.feature: (stage.operation, stage.side, stage.library) for stage in manifest.host_stages}
    assert libraries == {
        "query": ("tokenize_feature", "user", "tokenizers"),
        "plain": ("text_normalizer", "user", ""),
        "title": ("tokenize_feature", "item", "sentencepiece"),
        "digits": ("regex_replace_feature", "item", "pyarrow"),
    }
    assert all(stage.library_version for stage in manifest.host_stages if stage.library)
    files = {f"host/{name}" for stage in manifest.host_stages for name in stage.files.values()}
    assert files == {name for name in manifest.files if name.startswith("host/")}
    engine = tvm_rank.load(hosted)
    assert (engine.user_fields, engine.item_fields) == (("query",), ("title",))


def test_missing_columns_and_tables_are_told_by_the_names_that_a_request_has(hosted):
    engine = tvm_rank.load(hosted)
    with pytest.raises(InputError, match=r"user: not given; it needs the columns query$"):
        engine.rank(items={"title": TITLES})
    with pytest.raises(InputError, match="items: column 'title' is missing; did you mean 'titel'"):
        engine.rank(user={"query": QUERIES[:1]}, items={"titel": TITLES})
    with pytest.raises(InputError, match=r"user column 'query' \(read by tokenize_feature 'query'\): unsupported type bool"):
        engine.rank(user={"query": [True]}, items={"title": TITLES})


def test_loading_without_the_library_says_which_one(hosted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        ArtifactError, match=r"tokenize_feature needs the package 'tokenizers'; install it: pip install 'tvm-rank\[text\]'"
    ):
        tvm_rank.load(hosted)


def test_a_lost_or_altered_vocabulary_is_refused(hosted, tmp_path):
    copy = shutil.copytree(hosted, tmp_path / "copy")
    file = next((copy / store.HOST).iterdir())
    contents = file.read_bytes()
    file.write_bytes(contents[:-1] + b"?")
    with pytest.raises(ArtifactError, match="was altered"):
        tvm_rank.load(copy)
    file.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        tvm_rank.load(copy)
