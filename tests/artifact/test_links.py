"""Library calls that read texts which kernels make, inside an artifact: the chain runs in the engine and gives what `transform` gives."""

from __future__ import annotations

import pathlib
import threading

import numpy as np
import pyarrow as pa
import pytest
from ops.identity_model import identity_model

import tvm_rank
from tvm_rank.artifact import store
from tvm_rank.errors import ArtifactError, InputError, RankError

FEATURES = {
    "part": {"feature_type": "id_feature", "expression": "item:key", "separator": "/", "value_dim": 1, "stub_type": True},
    "clean": {"feature_type": "text_normalizer", "expression": "feature:part", "value_dim": 1, "stub_type": True},
    "look": {"feature_type": "lookup_feature", "map": "user:names", "key": "feature:clean", "needDiscrete": True, "needKey": False,
             "stub_type": True},
    "digits": {"feature_type": "regex_replace_feature", "expression": "feature:look", "regex_pattern": "[^0-9]", "num_buckets": 100,
               "default_value": "99"},
    "first": {"feature_type": "id_feature", "expression": "user:query", "separator": " ", "value_dim": 1, "stub_type": True},
    "word": {"feature_type": "text_normalizer", "expression": "feature:first", "hash_bucket_size": 50, "default_value": "none"},
    "letters": {"feature_type": "regex_replace_feature", "expression": "feature:part", "regex_pattern": "[^a-c]", "replacement": "-",
                "hash_bucket_size": 1000, "default_value": "?"},
    "age": {"feature_type": "raw_feature", "expression": "user:age", "stub_type": True},
    "printed": {"feature_type": "combo_feature", "expression": ["feature:age", "item:key"], "hash_bucket_size": 1000,
                "default_value": "none"},
    "whole": {"feature_type": "regex_replace_feature", "expression": "feature:age", "regex_pattern": "[.].*", "num_buckets": 100,
              "default_value": "0"},
    "key": {"feature_type": "id_feature", "expression": "item:key", "vocab_list": ["a", "b"], "default_bucketize_value": 5,
            "default_value": "a"},
}  # fmt: skip
ALONE = {
    "cut": {"feature_type": "id_feature", "expression": "item:title", "separator": "/", "value_dim": 1, "stub_type": True},
    "kept": {"feature_type": "regex_replace_feature", "expression": "feature:cut", "regex_pattern": "[0-9]", "hash_bucket_size": 100,
             "default_value": "x"},
    "first": FEATURES["first"],
    "word": FEATURES["word"],
}  # fmt: skip
NAMES = pa.array([["a:id7", "b:x42"], ["b:5", "c:id12"], None], pa.list_(pa.string()))
QUERIES = ["Red shirt", "ABC", None]
KEYS = ["A/9", "b", "C/x", None, "b", "d"]
AGES = pa.array([0.1, None, 41.25], pa.float32())
USER = {"names": NAMES, "query": QUERIES, "age": AGES}
REQUESTS = np.array([0, 0, 1, 1, 2, 1])


def of(features: dict[str, dict]) -> dict:
    return {"features": [{"feature_name": name, **keys} for name, keys in features.items()]}


def saved(folder: pathlib.Path, features: dict[str, dict], **options) -> pathlib.Path:
    ids = tuple(name for name, keys in features.items() if not keys.get("stub_type"))
    model = identity_model(dict.fromkeys(ids), ids=ids)
    tvm_rank.compile(features=of(features), model=model, **options).save(folder)
    return folder


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return saved(tmp_path_factory.mktemp("chained") / "artifact", FEATURES)


def test_its_samples_score_as_the_references_say(chained: pathlib.Path):
    assert (report := tvm_rank.check(chained, rounds=1)).ok, report


@pytest.fixture(scope="module")
def wanted() -> dict[str, np.ndarray]:
    """The ids that the feature program gives for the same rows."""
    program = tvm_rank.compile_features(of(FEATURES))
    rows = {
        "names": NAMES.take(pa.array(REQUESTS)),
        "query": [QUERIES[r] for r in REQUESTS],
        "age": AGES.take(pa.array(REQUESTS)),
        "key": KEYS,
    }
    out = program(rows)
    assert all((found.lengths == 1).all() for found in out.values())
    assert len(set(out["letters"].values.tolist())) > 2
    assert out["digits"].values.tolist() == [7, 42, 12, 99, 99, 99]
    return {f"{name}_out": found.values for name, found in out.items()}


def as_kind(kind: str, columns: dict):
    if kind == "dict":
        return columns
    arrays = {name: column if isinstance(column, pa.Array) else pa.array(column) for name, column in columns.items()}
    return pa.table(arrays) if kind == "table" else pa.RecordBatch.from_pydict(arrays)


@pytest.mark.parametrize("kind", ["dict", "table", "batch"])
def test_an_engine_gives_the_ids_of_the_feature_program(chained, wanted, kind):
    engine = tvm_rank.load(chained)
    assert (set(engine.user_fields), engine.item_fields) == ({"names", "query", "age"}, ("key",))
    user, items = as_kind(kind, USER), as_kind(kind, {"key": KEYS})
    scores = engine.rank(user=user, items=items, item_request=REQUESTS)
    assert {name: found.tolist() for name, found in scores.items()} == {name: ids.tolist() for name, ids in wanted.items()}
    one = engine.rank(
        user=as_kind(kind, {"names": NAMES[1:2], "query": QUERIES[1:2], "age": AGES[1:2]}), items=as_kind(kind, {"key": KEYS[2:4]})
    )
    assert {name: found.tolist() for name, found in one.items()} == {name: ids[2:4].tolist() for name, ids in wanted.items()}
    none = engine.rank(
        user=as_kind(kind, {"names": NAMES[:1], "query": QUERIES[:1], "age": AGES[:1]}), items={"key": pa.array([], pa.string())}
    )
    assert {len(found) for found in none.values()} == {0}


def test_the_manifest_says_what_runs_before(chained):
    manifest = store.read(chained)
    stages = [[stage.feature for stage in link.host_stages] for link in manifest.links]
    programs = [[(program.side, program.texts) for program in link.programs] for link in manifest.links]
    assert stages == [[], ["clean"]]
    assert programs == [[("item", ("part",))], [("user", ("first", "text of age")), ("item", ("part", "look"))]]
    assert {f"host/{name}" for name in manifest.host_files} == {name for name in manifest.files if name.startswith("host/")}


def test_threads_share_an_engine_with_links(chained, wanted):
    engine, failures = tvm_rank.load(chained, threads=1), []

    def work() -> None:
        for _ in range(20):
            scores = engine.rank(user=USER, items={"key": KEYS}, item_request=REQUESTS)
            if any(scores[name].tolist() != ids.tolist() for name, ids in wanted.items()):
                failures.append(scores)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_what_a_request_lacks_is_told_by_its_own_columns(chained):
    engine = tvm_rank.load(chained)
    with pytest.raises(InputError, match="user: column 'query' is missing"):
        engine.rank(user={"names": NAMES[:1], "qery": ["x"], "age": AGES[:1]}, items={"key": KEYS})
    with pytest.raises(InputError, match="item_request: not given, and user has 3 rows"):
        engine.rank(user=USER, items={"key": KEYS})
    with pytest.raises(InputError, match="items: not given; it needs the columns key"):
        engine.rank(user=USER)


def test_lost_constants_are_refused(chained, tmp_path):
    import shutil

    copy = shutil.copytree(chained, tmp_path / "copy")
    entry = store.read(copy).links[0].programs[0].constants["emit_texts"]
    (copy / store.HOST / entry.file).unlink()
    with pytest.raises(ArtifactError, match=f"host/{entry.file} is missing"):
        tvm_rank.load(copy)


def test_a_store_holds_what_the_chain_makes_of_items(tmp_path):
    items = {"id": ["i1", "i2", "i3"], "title": ["a1/b2", "77xyz/5", None]}
    path = saved(tmp_path / "stored", ALONE, items=items, item_key="id")
    program = tvm_rank.compile_features(of(ALONE))
    wanted = program({"title": ["77xyz/5", None, None, "a1/b2"], "query": ["Red shirt"]})
    engine = tvm_rank.load(path)
    assert engine.user_fields == ("query",)
    scores = engine.rank(user={"query": ["Red shirt"]}, item_ids=["i2", "nobody", "i3", "i1"])
    assert scores["kept_out"].tolist() == wanted["kept"].values.tolist()
    assert scores["word_out"].tolist() == wanted["word"].values.tolist()
    tvm_rank.refresh(path, {"id": ["i9"], "title": ["5f/ive"]})
    again = tvm_rank.load(path).rank(user={"query": ["Red shirt"]}, item_ids=["i9"])
    assert again["kept_out"].tolist() == program({"title": ["5f/ive"], "query": ["x"]})["kept"].values.tolist()


def test_a_store_of_texts_that_need_the_request_is_refused():
    with pytest.raises(RankError, match=r"look is made of items and of the request, .*leave items and item_key out"):
        saved(pathlib.Path("nowhere"), FEATURES, items={"key": ["a"]}, item_key="key")
