"""Lookups in tables of every precision, in compiled kernels: what the rows mean, pooled as defined; on other CPUs; in an engine."""

from __future__ import annotations

import platform
import re
from typing import Any

import numpy as np
import pytest
import tvm
from identity_model import engine_of
from pool_kernel import Lookup, PoolKernel, arrow_of, columns_of

import tvm_rank
from tvm_rank.ops import lookup
from tvm_rank.ops.table_rows import PRECISIONS, decode, encode, row_bytes
from tvm_rank.target import resolve

DIMS = (1, 5, 8, 16, 24, 32)
WIDE = 100  # more than one span
COMBINERS = ("sum", "mean", "sqrtn", "max")
IDS = 40
TOLERANCE = 1e-6  # of the sum of |w * e|
LENGTHS = (0, 1, 2, 7, 130, 250)  # ids of a row: a queue of 120 is flushed in the middle of rows, and between them

CALL_OF_LIBRARY = re.compile(r"(call|bl)\w*\s+\S*extendhfsf")  # float16 to float32 without an instruction
Bags = list[list[tuple[int, float]]]


def table(dim: int) -> np.ndarray:
    """Rows of all sizes, one of zeros, one of one sign, one with a number far from the others."""
    source = np.random.default_rng(dim)
    made = source.standard_normal((IDS, dim), dtype=np.float32)
    made *= np.exp2(source.integers(-5, 3, (IDS, 1))).astype(np.float32)
    made[3], made[4], made[5, 0] = 0.0, np.abs(made[4]), 90.0
    return made


def meant(precision: str, dim: int) -> np.ndarray:
    return decode(encode(table(dim), precision), precision, dim)


def lookups(precision: str) -> list[Lookup]:
    """Every width, with a combiner that is another one at the next precision; every second with weights."""
    first = PRECISIONS.index(precision)
    return [
        Lookup(COMBINERS[(first + k) % len(COMBINERS)], precision, dim, weighted=k % 2 == 0) for k, dim in enumerate((*DIMS, WIDE))
    ]


def kernel_of(chosen: list[Lookup], target: tvm.target.Target) -> PoolKernel:
    return PoolKernel(chosen, {(one.precision, one.dim): table(one.dim) for one in chosen}, target)


@pytest.fixture(scope="module", params=PRECISIONS)
def kernel(request) -> PoolKernel:
    return kernel_of(lookups(request.param), resolve("cpu").tvm_target)


def random_bags(rows: int, seed: int) -> Bags:
    """Ids and weights of each row; the last row of the tables is among them."""
    source = np.random.default_rng(seed)
    bags = [
        list(zip(source.integers(0, IDS, n).tolist(), (source.integers(1, 33, n) / 8).tolist(), strict=True))
        for n in source.choice(LENGTHS, rows)
    ]
    return [*bags[:-1], [(IDS - 1, 0.5)]]


def assert_pooled(kernel: PoolKernel, bags: Bags) -> None:
    offsets, ids, weights = columns_of(bags)
    for one, got in zip(kernel.lookups, kernel(offsets, ids, weights), strict=True):
        rows, used = meant(one.precision, one.dim), weights if one.weighted else None
        wanted = lookup.reference(ids, np.diff(offsets), used, rows, one.combiner)
        size = lookup.reference(ids, np.diff(offsets), used, np.abs(rows), one.combiner)
        wrong = ~(np.abs(got - wanted) <= TOLERANCE * size)
        assert not wrong.any(), f"{one}: {got[wrong][:3]}, wanted {wanted[wrong][:3]} in {np.argwhere(wrong)[:3]}"


@pytest.mark.parametrize("rows", [1, 64, 130])
def test_every_precision_combiner_and_width_is_pooled_as_its_rows_are_defined(kernel, rows):
    assert_pooled(kernel, random_bags(rows, seed=rows))


def test_a_row_of_one_id_has_the_bits_of_the_definition(kernel):
    bags = [[(k, 1.0)] for k in range(IDS)]
    for one, got in zip(kernel.lookups, kernel(*columns_of(bags)), strict=True):
        np.testing.assert_array_equal(got, meant(one.precision, one.dim), err_msg=str(one))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 machine")
@pytest.mark.parametrize("target", [resolve("x86-64-v3").tvm_target, tvm.target.Target("llvm")], ids=["x86-64-v3", "generic"])
def test_other_cpus_pool_the_same(target):
    """The bare machine has no instruction for float16, nor shifts by lane."""
    chosen = [
        Lookup("mean", precision, dim, weighted=dim == 16) for precision, dim in zip(PRECISIONS, (5, 40, WIDE, 16, 24), strict=True)
    ]
    kernel = kernel_of(chosen, target)
    assert_pooled(kernel, random_bags(66, seed=2))
    assert not CALL_OF_LIBRARY.search(kernel.code.inspect_source("s"))


def test_code_for_arm_has_its_vectors():
    target = resolve("aarch64").tvm_target
    code = kernel_of([Lookup("sum", precision, 16) for precision in PRECISIONS], target).code.inspect_source("s")
    assert "fcvtl" in code  # float16
    assert re.search(r"scvtf\s+v\d+\.4s", code)  # int8, int4
    assert not CALL_OF_LIBRARY.search(code)


def _feature(combiner: str, precision: str, dim: int, **keys: Any) -> dict[str, Any]:
    return {
        "feature_type": "id_feature",
        "expression": "item:pairs" if keys.get("weighted") else "item:ids",
        "num_buckets": IDS,
        "combiner": combiner,
        "embedding_dim": dim,
        "embedding_name": f"{precision}_{dim}",
        "group": "all",
        **keys,
    }


# of one width all precisions; two tables in a stack; weights
FEATURES = {
    **{f"{precision}": _feature("mean", precision, 8) for precision in PRECISIONS},
    "second": _feature("mean", "int8", 8, embedding_name="int8_8_second"),
    "weighted": _feature("sum", "int4", 5, weighted=True),
}
LENGTH = 4
SEQUENCES = {  # the same columns, element by element, in the tables of the features before
    f"{precision}_elements": {
        "feature_type": "sequence_id_feature",
        "expression": "item:ids",
        "sequence_length": LENGTH,
        "num_buckets": IDS,
        "embedding_dim": 8,
        "embedding_name": f"{precision}_8",
    }
    for precision in PRECISIONS
}
TABLES = {keys["embedding_name"]: table(keys["embedding_dim"]) for keys in FEATURES.values()}
TABLES["int8_8_second"] = TABLES["int8_8_second"][::-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("precision")
    precisions = {name: name.split("_")[0] for name in TABLES if not name.startswith("int8")} | {"*": "int8"}
    widths = {"all": 6 * 8 + 5} | dict.fromkeys(SEQUENCES, (LENGTH, 8))
    engine_of(made, FEATURES | SEQUENCES, widths, TABLES, table_precision=precisions)
    return made / "artifact"


@pytest.mark.parametrize("tables", ["mapped", "memory"])
def test_an_engine_mixes_precisions_in_tables_of_one_width(folder, tables):
    bags = random_bags(70, seed=5)
    scores = tvm_rank.load(folder, tables=tables).rank(items=arrow_of(bags))["all_out"]
    offsets, ids, weights = columns_of(bags)
    ends = np.cumsum([keys["embedding_dim"] for keys in FEATURES.values()])
    for (name, keys), got in zip(FEATURES.items(), np.split(scores, ends[:-1], axis=1), strict=True):
        stacked = TABLES[keys["embedding_name"]]
        rows = decode(encode(stacked, keys["embedding_name"].split("_")[0]), keys["embedding_name"].split("_")[0], stacked.shape[1])
        used = weights if name == "weighted" else None
        wanted = lookup.reference(ids, np.diff(offsets), used, rows, keys["combiner"])
        size = lookup.reference(ids, np.diff(offsets), used, np.abs(rows), keys["combiner"])
        assert (np.abs(got - wanted) <= TOLERANCE * size).all(), name


def test_elements_of_sequences_have_the_rows_of_every_precision(folder):
    bags = [bag for bag in random_bags(70, seed=5) if bag]
    scores = tvm_rank.load(folder).rank(items=arrow_of(bags))
    for precision in PRECISIONS:
        wanted = np.zeros((len(bags), LENGTH, 8), np.float32)
        for row, bag in enumerate(bags):
            ids = [key for key, _ in bag[:LENGTH]]
            wanted[row, : len(ids)] = meant(precision, 8)[ids]
        np.testing.assert_array_equal(scores[f"{precision}_elements_out"], wanted, err_msg=precision)


def test_the_manifest_tells_precision_sizes_and_errors(folder):
    stacks = tvm_rank.load(folder).manifest.stacks
    assert [(s.dim, s.precision) for s in stacks] == [(5, "int4"), *((8, precision) for precision in PRECISIONS)]
    assert [s.file for s in stacks[:3]] == ["tables/stack_5_int4.bin", "tables/stack_8.bin", "tables/stack_8_fp16.bin"]
    for stack in stacks:
        assert stack.row_bytes == row_bytes(stack.precision, stack.dim)
        for name, entry in stack.tables.items():
            exact = TABLES[name].astype(np.float64)
            difference = decode(encode(TABLES[name], stack.precision), stack.precision, stack.dim) - exact
            assert entry.rows == IDS
            assert entry.largest_error == pytest.approx(np.abs(difference).max())
            assert entry.relative_error == pytest.approx(np.sqrt((difference**2).sum() / (exact**2).sum()))
            assert (entry.largest_error > 0) == (stack.precision != "fp32")
    assert list(stacks[4].tables) == ["int8_8", "int8_8_second"]
    assert [entry.first_row for entry in stacks[4].tables.values()] == [0, IDS]
