"""collect_ids: one pass over the rows gives what the references say, however many ids a block has and however many it had before."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from te_schedules.column_group import collect
from tvm_rank.config.load import load_config
from tvm_rank.features import BLOCK_ROWS, program_of
from tvm_rank.ops.dag import references
from tvm_rank.runtime import collected

FG: dict[str, Any] = {
    "features": [
        {"feature_name": "one", "feature_type": "id_feature", "expression": "user:one", "num_buckets": 1000, "default_value": "7"},
        {"feature_name": "many", "feature_type": "id_feature", "expression": "item:many", "num_buckets": 1000},
        {"feature_name": "weighted", "feature_type": "id_feature", "expression": "item:pairs", "hash_bucket_size": 50, "weighted": True},
        {"feature_name": "cross", "feature_type": "combo_feature", "expression": ["user:one", "item:many"], "hash_bucket_size": 99},
        {"feature_name": "clicks", "feature_type": "sequence_id_feature", "expression": "user:clicks", "num_buckets": 1000,
         "sequence_length": 5, "sequence_delim": ";", "default_value": "3"},
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def config() -> Any:
    return load_config(FG)


@pytest.fixture(scope="module")
def program(config: Any) -> Any:
    return program_of(config, threads=2)


def rows_of(counts: list[int], *, seed: int = 0) -> dict[str, pa.Array]:
    """Rows whose lists have these many values."""
    rng = np.random.default_rng(seed)
    return {
        "one": pa.array([None if k % 3 == 0 else k % 1000 for k in range(len(counts))], pa.int64()),
        "many": pa.array([rng.integers(0, 1200, count).tolist() for count in counts], pa.list_(pa.int64())),
        "pairs": pa.array([[f"k{k}:{k / 4}" for k in range(count % 7)] for count in counts], pa.list_(pa.string())),
        "clicks": pa.array([";".join(map(str, range(count % 9))) or None for count in counts], pa.string()),
    }


def check(program: Any, config: Any, columns: dict[str, pa.Array]) -> None:
    rows = len(columns["one"])
    outputs = program(columns)
    for name, wanted in references(config, columns, rows).items():
        for part in ("values", "lengths", "key_lengths", "weights"):
            got, right = getattr(outputs[name], part), getattr(wanted, part)
            assert (got is None) == (right is None), (name, part)
            if right is not None:
                assert (got.dtype, got.tolist()) == (right.dtype, right.tolist()), (name, part)


@pytest.mark.parametrize(
    "counts",
    [
        [0],
        [1],
        [5000],
        [0] * BLOCK_ROWS,
        [2] * (BLOCK_ROWS + 1),
        [1] * 255 + [900] + [0] * 256 + [3] * 60,
        [k % 40 for k in range(900)],
    ],
    ids=["no id", "one", "one long row", "a whole block", "a block and a row", "one long row of many", "many blocks"],
)
def test_every_shape_of_rows_is_what_the_references_say(counts: list[int], program: Any, config: Any):
    check(program, config, rows_of(counts))
    check(program, config, rows_of(counts, seed=1))  # now with the memory of the call before


def test_a_block_that_needs_more_is_run_again_and_the_next_call_is_not(program: Any, config: Any, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    run = type(program)._run

    def spy(self: Any, name: str, *arguments: Any) -> None:
        calls.append(name)
        run(self, name, *arguments)

    monkeypatch.setattr(type(program), "_run", spy)
    monkeypatch.setattr(program, "_collector", collected.Collector(5, BLOCK_ROWS, weighted=True, sequences=True))
    columns = rows_of([20] * 3 * BLOCK_ROWS)
    check(program, config, columns)
    assert calls == ["collect_ids"] * 2
    check(program, config, columns)
    assert calls == ["collect_ids"] * 3
    before = program._collector._rooms.copy()
    check(program, config, rows_of([0] * 700 + [20_000] + [0] * 300))
    assert calls == ["collect_ids"] * 5
    assert (program._collector._rooms < 20_000).all()  # one long row does not make the pieces of all blocks long
    assert (program._collector._rooms >= before).all()


def test_ids_that_stay_where_they_were_made_outlast_the_next_call():
    alone = load_config({"features": FG["features"][:1]})
    program = program_of(alone, threads=1)
    first, second = ({"one": pa.array(np.arange(2 * BLOCK_ROWS + 9) % 900 + k)} for k in (0, 50))
    kept = program(first)["one"].values
    check(program, alone, second)
    check(program, alone, {"one": pa.array([[1, 2], [], [3]] * BLOCK_ROWS)})  # the pieces are not full now
    assert kept.tolist() == first["one"].to_pylist()


def test_no_rows_give_empty_arrays(program: Any):
    empty = {name: column[:0] for name, column in rows_of([1]).items()}
    outputs = program(empty)
    assert {name: (out.values.tolist(), out.lengths.tolist()) for name, out in outputs.items()} == {
        name: ([], []) for name in outputs
    }
    assert (outputs["weighted"].weights.dtype, outputs["clicks"].key_lengths.dtype) == (np.float32, np.int32)


def test_threads_share_a_program(program: Any, config: Any):
    tables = [rows_of([(k * seed) % 50 for k in range(300)], seed=seed) for seed in range(1, 9)]
    wanted = [{name: out.values.tolist() for name, out in references(config, table, 300).items()} for table in tables]

    def values(table: dict[str, pa.Array]) -> dict[str, list[int]]:
        return {name: out.values.tolist() for name, out in program(table).items()}

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(values, tables)) == wanted


def test_the_outputs_of_a_call_are_not_those_of_the_next(program: Any):
    first = program(rows_of([3] * 100))
    kept = {name: out.values.copy() for name, out in first.items()}
    program(rows_of([4] * 100, seed=9))
    assert all(np.array_equal(first[name].values, kept[name]) for name in kept)


def test_the_runtime_and_the_kernel_agree_on_their_memory():
    assert [(name, np.dtype(dtype).name) for name, dtype in collected.STREAMS] == list(collect.STREAMS)
    for name in ("IDS", "WEIGHTS", "KEYS", "PLACES", "ID_BEGIN", "ID_COUNT", "WEIGHT_BEGIN", "KEY_BEGIN", "KEY_COUNT"):
        assert getattr(collected, name) == getattr(collect, name)
