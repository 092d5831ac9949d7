"""Features on an emulated GPU are, bit for bit, those of the CPU's kernels, which other tests compare with the references."""

from __future__ import annotations

import ctypes
import pathlib
import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from frontend.frontend_models import parsed, weight
from ops.identity_model import identity_model

import tvm_rank
from te_schedules.gpu import prelude
from tvm_rank.artifact import store
from tvm_rank.cli.main import main
from tvm_rank.config.types import TYPES
from tvm_rank.errors import RowError

pytestmark = pytest.mark.usefixtures("emulated")
ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS, DIM, IDS = 40, 8, 50
LONG_ROWS = 4
TARGETS = ("cpu", "cuda-sm_90")
POOLED = {"embedding_dim": DIM, "embedding_name": "t"}
HASHED = POOLED | {"hash_bucket_size": IDS, "combiner": "sum"}
FEATURES = {
    "word": {"feature_type": "id_feature", "expression": "item:word"} | HASHED | {"combiner": "sqrtn"},
    "crossed": {"feature_type": "combo_feature", "expression": ["feature:helper", "item:word"]} | HASHED,
    "helper": {"feature_type": "id_feature", "expression": "user:tags", "stub_type": True},
    "looked": {"feature_type": "lookup_feature", "map": "user:likes", "key": "item:tags", "combiner": "mean", "default_value": "-1"},
    "matched": {"feature_type": "match_feature", "user": "user:nested", "category": "ALL", "item": "item:tags", "matchType": "multihit"}
               | HASHED,
    "number": {"feature_type": "raw_feature", "expression": "item:text_number", "normalizer": "method=zscore,mean=1,standard_deviation=3"},
    "formula": {"feature_type": "expr_feature", "expression": "a * 0.1 + b", "variables": ["item:a", "user:b"], "default_value": "-7"},
    "click": {"feature_type": "sequence_id_feature", "sequence_length": 3, "sequence_delim": ";", "expression": "item:clicks"} | HASHED,
    "shared": {"feature_type": "overlap_feature", "query": "user:tags", "title": "item:tags", "method": "query_common_ratio"},
    "dot": {"feature_type": "kv_dot_product", "query": "user:likes", "document": "item:tags", "default_value": "-1"},
    "sliced": {"feature_type": "slice_feature", "expression": "item:clicks", "separator": ";", "start": -2} | HASHED,
    "largest": {"feature_type": "combine_feature", "expression": "item:clicks", "separator": ";", "value_map": {"a": 1.5, "7": -2},
                "combiner": "max"},
    "masked": {"feature_type": "bool_mask_feature", "expression": ["item:clicks", "item:mask"], "separator": ";"} | HASHED,
    "distance": {"feature_type": "custom_feature", "operator_name": "EditDistance", "expression": ["item:word", "item:mask"]},
    "cut": {"feature_type": "regex_replace_feature", "expression": "item:word", "regex_pattern": "x+", "replacement": "-"} | HASHED,
}  # fmt: skip
SHOWN = {name: (3, DIM) if name == "click" else DIM if "embedding_dim" in keys else 1 for name, keys in FEATURES.items()}
SHOWN.pop("helper")


# the lookups that a model does itself: rows by an id of either side, rows of a sequence and their mean and largest, and, in a loop as PyTorch's
# exporters write EmbeddingBag, weighted sums
LOOKUPS = """(int64[N] city, int64[N, 1] brand, int64[N, 3] clicks, int64[nnz] tags, int64[N] starts, float[nnz] shares)
    => (float[N, 8] rows, float[N, 3, 8] all, float[N] linear, float[N, 8] bags) {
    u = Gather(users, city) flat = Reshape(brand, minus) i = Gather(items, flat) both = Mul(u, i)
    read = Gather(items, clicks) mean = ReduceMean(read, at1) one_row = Squeeze(mean, at1) rows = Add(both, one_row)
    shown = Gather(items, clicks) all = Tanh(shown)
    w = Gather(weights, city) v = Gather(weights, clicks) best = ReduceMax<keepdims = 0>(v, at1) linear = Add(w, best)
    size = Shape(tags) first = Gather(size, zero) end = Unsqueeze(first, at0) bounds = Concat<axis = 0>(starts, end)
    ends = Slice(bounds, at1, far, at0, at1) shape = Shape(ends) count = Gather(shape, zero)
    made = Loop(count, true) <body = body (int64 k, bool c) => (bool again, float[d] row) {
        b = Gather(bounds, k) e = Gather(ends, k) b1 = Unsqueeze(b, at0) e1 = Unsqueeze(e, at0) ids = Slice(tags, b1, e1, at0)
        found = Gather(users, ids) w_ = Slice(shares, b1, e1, at0) w1 = Unsqueeze(w_, at1) used = Mul(found, w1)
        row = ReduceSum<keepdims = 0>(used, at0) again = Identity(c) }>
    bags = Tanh(made) }"""
WEIGHTS = {
    **{"users": weight(IDS, DIM), "items": weight(IDS + 3, DIM, seed=1), "weights": weight(IDS)},
    **{"true": np.array(True), "zero": np.array(0), "minus": np.array([-1]), "far": np.array([2**63 - 1])},
    **{"at0": np.array([0]), "at1": np.array([1])},
}
OF_LOOKUPS = {
    "city": {"feature_type": "id_feature", "expression": "user:city", "default_value": "3"},
    "brand": {"feature_type": "id_feature", "expression": "item:brand", "default_value": "3"},
    "clicks": {"feature_type": "sequence_id_feature", "expression": "user:clicks", "sequence_length": 3, "value_dim": 1,
               "default_value": "3"},
    "tags": {"feature_type": "id_feature", "expression": "item:tags", "separator": ";", "weighted": True},
}  # fmt: skip


def columns() -> tuple[pa.Table, pa.Table, np.ndarray]:
    """(users, items, the user of each item), with nulls, empties and bytes above 127."""
    rng = np.random.default_rng(1)
    words = ["a", "bé", "長い言葉", "x" * 20, "y" * 70, "7", "", "a b"]
    users = pa.table(
        {
            "tags": pa.array([["a", "7"], None], pa.list_(pa.string())),
            "likes": ["a:0.5\x1dbé:2\x1d7:1e-3", "a:3"],
            "nested": ["a^a:1,7:2.5|bé^a:0.25", None],
            "b": pa.array([0.3, None], pa.float32()),
        }
    )
    some = [None if k % 9 == 0 else [str(w) for w in rng.choice(words, rng.integers(0, 5))] for k in range(ROWS)]
    items = pa.table(
        {
            "word": [None if k % 7 == 0 else str(rng.choice(words)) for k in range(ROWS)],
            "tags": pa.array(some, pa.list_(pa.string())),
            "text_number": [None if k % 5 == 0 else repr(float(n)) for k, n in enumerate(rng.normal(0, 50, ROWS))],
            "a": pa.array(rng.normal(size=ROWS), mask=rng.random(ROWS) < 0.2),
            "clicks": [";".join(str(w) for w in rng.choice(words, rng.integers(0, 5))) for _ in range(ROWS)],
            "mask": ["1;0;true"] * ROWS,
        }
    )
    return users, items, rng.integers(0, 2, ROWS)


def long_columns() -> tuple[pa.Table, pa.Table]:
    """(users, items) whose features need more memory than a thread of a GPU has of its own."""
    rng = np.random.default_rng(2)
    words = [f"{'wörd' * 20}{k}" for k in range(60)]
    several = [[str(w) for w in rng.choice(words, 50)] for _ in range(LONG_ROWS)]
    users = pa.table(
        {
            "tags": pa.array([words], pa.list_(pa.string())),
            "likes": ["\x1d".join(f"{word}:{k}" for k, word in enumerate(words))],
            "nested": ["|".join(f"{word}^{word}:{k},7:2.5" for k, word in enumerate(words))],
            "b": pa.array([0.3], pa.float32()),
        }
    )
    items = pa.table(
        {
            "word": [" ".join(rng.choice(words, 30)) for _ in range(LONG_ROWS)],
            "tags": pa.array(several, pa.list_(pa.string())),
            "text_number": ["0.5"] * LONG_ROWS,
            "a": rng.normal(size=LONG_ROWS),
            "clicks": [";".join(one) for one in several],
            "mask": [";".join(["1", "0"] * 25)] * LONG_ROWS,
        }
    )
    return users, items


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[pathlib.Path]]:
    """For each of TARGETS, by the precision of the table; all features in fp32, one below."""
    known: dict[str, list[pathlib.Path]] = {}

    def of(precision: str) -> list[pathlib.Path]:
        if precision not in known:
            names = list(FEATURES) if precision == "fp32" else ["word"]
            fg = {"features": [{"feature_name": name, **FEATURES[name]} for name in names]}
            model = identity_model({name: width for name, width in SHOWN.items() if name in names})
            brought = {"features": fg, "model": model, "table_precision": precision}
            brought["tables"] = {"t": np.random.default_rng(5).normal(size=(IDS, DIM)).astype(np.float32)}
            folder = tmp_path_factory.mktemp(precision)
            known[precision] = [folder / target for target in TARGETS]
            for target, path in zip(TARGETS, known[precision], strict=True):
                tvm_rank.compile(**brought, target=target).save(path)
        return known[precision]

    return of


@pytest.mark.parametrize("precision", ["fp32", "int4"])
def test_features_and_lookups_are_those_of_the_cpu(precision: str, artifacts: Callable[[str], list[pathlib.Path]]):
    users, items, of = columns()
    wanted, got = (tvm_rank.load(path).rank(users, items, of) for path in artifacts(precision))
    for name, values in wanted.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
        assert np.ptp(values) > 0, name


def test_a_library_call_is_listed(artifacts: Callable[[str], list[pathlib.Path]], capsys: pytest.CaptureFixture[str]):
    """What GPUs do not do is named by `inspect` and in the manifest."""
    artifact = artifacts("fp32")[1]
    (stage,) = store.read(artifact).host_stages
    assert (stage.feature, stage.operation, stage.side, stage.library) == ("cut", "regex_replace_feature", "item", "pyarrow")
    assert main(["inspect", str(artifact)]) == 0
    listed = capsys.readouterr().out.partition("library calls, on the host before the kernels\n")[2].splitlines()[:3]
    assert any(line.split()[:4] == ["cut", "regex_replace_feature", "item", "word"] for line in listed)


def test_a_row_for_which_a_gpu_has_no_memory_is_refused(artifacts: Callable[[str], list[pathlib.Path]], emulated: ctypes.CDLL):
    """Whichever piece is lacking: all that its thread had is given back, and the next request is scored."""
    users, items = long_columns()
    cpu, gpu = map(tvm_rank.load, artifacts("fp32"))
    wanted, before = cpu.rank(users, items), emulated.emulated_pieces()
    for _ in range(3):  # the last as a graph
        got = gpu.rank(users, items)
        for name, values in wanted.items():
            np.testing.assert_array_equal(got[name], values, err_msg=name)
    pieces = (emulated.emulated_pieces() - before) // 3
    assert pieces > 40
    assert emulated.emulated_taken() == 0
    try:
        for lacking in range(pieces):
            emulated.emulated_lack(ctypes.c_longlong(lacking))
            with pytest.raises(RowError, match=r"^row \d: the GPU has no more memory for the texts and lists of all rows at once"):
                gpu.rank(users, items)
            assert emulated.emulated_taken() == 0
    finally:
        emulated.emulated_lack(ctypes.c_longlong(-1))
    np.testing.assert_equal(dict(gpu.rank(users, items)), dict(wanted))


def test_every_feature_type_runs_on_the_emulated_gpu():
    types = {str(keys["feature_type"]).removeprefix("sequence_") for keys in FEATURES.values()}
    assert set(TYPES) - types == {"text_normalizer", "tokenize_feature"}, "library calls, as regex_replace_feature"


def test_lookups_that_a_model_does_itself_are_those_of_onnx(tmp_path: pathlib.Path):
    fg = {"features": [{"feature_name": name, "num_buckets": IDS, **keys} for name, keys in OF_LOOKUPS.items()]}
    precisions = {"users": "fp32", "items": "int8", "weights": "fp32"}
    model = parsed(LOOKUPS, WEIGHTS, opset=18)
    made = tvm_rank.compile(features=fg, model=model, table_precision=precisions, target="cuda-sm_90")
    tables = {name for stack in made.manifest.stacks for name in stack.tables}
    assert tables == {"users", "items", "weights"}  # so none of them is a Gather of the dense model any more
    made.save(tmp_path / "artifact")
    report = tvm_rank.check(tmp_path / "artifact", rounds=1)  # next to ONNX's own evaluation of the model as it was
    assert report.ok, report
    assert {output.output for output in report.outputs} == {"rows", "all", "linear", "bags"}


def test_of_several_refused_rows_the_last_is_named_as_on_cpus(tmp_path: pathlib.Path):
    sequence = {
        "feature_type": "sequence_combo_feature",
        "sequence_length": 4,
        "sequence_delim": ";",
        "expression": ["item:a", "item:b"],
    }
    fg = {
        "features": [
            {
                "feature_name": "digits",
                "feature_type": "id_feature",
                "expression": "item:digits",
                "num_buckets": 10,
                "default_value": "0",
            },
            {"feature_name": "pairs", **sequence, "hash_bucket_size": 10, "value_dim": 1, "default_value": "0"},
        ]
    }
    model = identity_model({"digits": None, "pairs": (4,)}, ids=("pairs",))
    good = {"digits": ["1"] * ROWS, "a": ["x;y"] * ROWS, "b": ["u;v"] * ROWS}
    cases = {"digits": {5: "x", 17: "y", 30: "z"}, "b": {3: "u;v;w", 21: "u;v;w"}}
    engines = []
    for target in ("cpu", "cuda-sm_90"):
        tvm_rank.compile(features=fg, model=model, target=target).save(tmp_path / target)
        engines.append(tvm_rank.load(tmp_path / target))
    for name, rows in cases.items():
        items = good | {name: [rows.get(k, text) for k, text in enumerate(good[name])]}
        told = []
        for engine in engines:
            for _ in range(4):  # every other launch of the emulated GPU goes from its last thread to the first
                with pytest.raises(RowError) as error:
                    engine.rank({"u": [1.0]}, items)
                told.append((error.value.feature, error.value.row))
        assert set(told) == {("digits" if name == "digits" else "pairs", max(rows))}


def test_the_prelude_has_every_function_that_kernels_have_in_llvm():
    defined = set()
    of_cpus = ROOT / "te_schedules" / "dense"  # dense layers of a GPU have kernels of their own
    for path in set((ROOT / "te_schedules").rglob("*.py")) - set(of_cpus.rglob("*.py")):
        defined |= set(re.findall(r"define linkonce_odr [^@]*@(rank_\w+)\(", path.read_text(encoding="utf-8")))
    host = {"rank_falls", "rank_clock"}  # of `check_columns`, and of what measures on other machines
    inner = {"rank_bytes_mask", "rank_find_far"}  # of `rank_find`
    found = set(re.findall(r"\b(rank_\w+)\(", prelude.text()))
    assert defined - host - inner - found == set()
