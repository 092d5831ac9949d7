"""Lookups of a GPU, whose rows threads share: every precision, combiner and count of lanes, as defined, and bit for bit as on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tvm
import tvm_ffi
from ops.pool_kernel import Lookup, PoolKernel, columns_of, words_of

from te_schedules.column_group import lane_choice
from te_schedules.column_group.kernel import MOST_QUEUED, Knobs
from te_schedules.column_group.table_format import PRECISIONS, TableFormat
from te_schedules.feature.id_feature import IdKind
from te_schedules.gpu.build import PIPELINE
from te_schedules.gpu.compile import cubin
from tvm_rank import pipeline_gpu
from tvm_rank.ops import lookup, table_rows
from tvm_rank.runtime import tvm_runtime
from tvm_rank.schedule import Schedule
from tvm_rank.target import resolve

IDS, ROWS = 30, 70
ARCH = "sm_90"
WEIGHTED = [Lookup("mean", precision, 20, weighted=True) for precision in PRECISIONS]
LOOKUPS = [
    *WEIGHTED,
    *(Lookup("sum", precision, 6) for precision in PRECISIONS),
    *(Lookup("sum", precision, 64) for precision in ("fp32", "bf16", "int8")),
    Lookup("max", "int8", 6),
    Lookup("sqrtn", "fp32", 20, weighted=True),
    Lookup("mean", "fp16", 1),
    Lookup("sqrtn", "int4", 300),
]


def tables(lookups: list[Lookup]) -> dict[tuple[str, int], np.ndarray]:
    return {
        (one.precision, one.dim): np.random.default_rng(one.dim).standard_normal((IDS, one.dim), dtype=np.float32)
        for one in lookups
    }


def columns() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = np.random.default_rng(4)
    counts = source.choice([0, 1, 1, 2, 3], ROWS)
    return columns_of([list(zip(source.integers(0, IDS, n).tolist(), source.normal(size=n).tolist(), strict=True)) for n in counts])


@pytest.fixture
def compiled_by_nvcc(emulated) -> Iterator[None]:
    """TVM's CUDA runtime takes the machine code of a source from where artifacts have it from."""
    assert emulated is not None, "nvcc must be the emulator's"
    tvm_runtime.load_cuda()
    name = "tvm_callback_cuda_compile"
    before = tvm_ffi.get_global_func(name)
    tvm_ffi.register_global_func(name, lambda source, *_: cubin(source, ARCH), override=True)
    yield
    tvm_ffi.register_global_func(name, before, override=True)


def pooled_on_gpu(lanes: int) -> list[np.ndarray]:
    """The lookups by a kernel on the emulated GPU."""
    target = tvm.target.Target({"kind": "cuda", "arch": ARCH}, host="llvm")
    kernel = PoolKernel(LOOKUPS, tables(LOOKUPS), target, PIPELINE, threads=64, lanes=lanes, queue_ids=1, prefetch=False)
    device = tvm.cuda(0)

    def there(array: np.ndarray):
        return tvm.runtime.tensor(array, device)

    parts = [there(array) for array in columns()]
    constants = [kernel.layout.ints, kernel.layout.floats, kernel.layout.bytes, *kernel.stacks.values()]
    out = [there(np.full((ROWS, one.dim), np.nan, np.float32)) for one in LOOKUPS]
    kernel.code["pool"](there(words_of(*(part.data_ptr() for part in parts))), *map(there, constants), *out)
    return [array.numpy() for array in out]


@pytest.fixture(scope="module")
def on_cpu() -> list[np.ndarray]:
    return PoolKernel(WEIGHTED, tables(WEIGHTED), resolve("cpu").tvm_target)(*columns())


@pytest.mark.usefixtures("compiled_by_nvcc")
@pytest.mark.parametrize("lanes", [4, 64])
def test_lanes_of_a_row_pool_as_defined_and_as_a_cpu_does(lanes: int, on_cpu: list[np.ndarray]):
    offsets, ids, weights = columns()
    assert len(ids) < MOST_QUEUED, "all are in one queue of the CPU: the totals of weights have one order"
    found = pooled_on_gpu(lanes)
    for one, got in zip(LOOKUPS, found, strict=True):
        table = table_rows.decode(table_rows.encode(tables([one])[one.precision, one.dim], one.precision), one.precision, one.dim)
        wanted = lookup.reference(ids, np.diff(offsets), weights if one.weighted else None, table, one.combiner)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4, err_msg=str(one))
    for one, want, got in zip(WEIGHTED, on_cpu, found, strict=False):
        np.testing.assert_array_equal(got, want, err_msg=str(one))


def section(form: TableFormat, bucketizer: str, count: int = 20) -> Any:
    return SimpleNamespace(sink=SimpleNamespace(form=form), kind=IdKind(bucketizer=bucketizer), count=count, ids=1)


def chosen(
    dim: int, bucketizer: str, rows: int = lane_choice.ITEM_ROWS, precision: str = "fp32", count: int = 20, arch: str = ARCH
) -> int:
    with tvm.target.Target({"kind": "cuda", "arch": arch}, host="llvm"):
        return lane_choice.lanes_of(section(TableFormat(precision, dim), bucketizer, count), lanes=0, threads=64, rows=rows)


def test_wide_rows_have_more_lanes_and_texts_that_all_of_them_hash_fewer():
    by_number = [chosen(dim, "num_buckets") for dim in (4, 16, 64, 256)]
    assert by_number == sorted(by_number)
    assert by_number[0] == 1
    assert by_number[-1] >= 8
    assert chosen(64, "hash_farm") < chosen(64, "num_buckets")
    assert chosen(64, "num_buckets", precision="int4") < chosen(64, "num_buckets")
    assert chosen(64, "hash_farm", rows=1) == 16  # all pieces at once, where nobody else wants the threads
    assert lane_choice.lanes_of(SimpleNamespace(sink=None), lanes=0, threads=64, rows=1) == 1


def test_a_gpu_of_fewer_processors_has_fewer_lanes_where_they_are_all_busy():
    assert chosen(32, "num_buckets", count=4, arch="sm_86") < chosen(32, "num_buckets", count=4, arch="sm_90")
    assert chosen(256, "num_buckets", rows=1, arch="sm_86") == chosen(256, "num_buckets", rows=1, arch="sm_90")


def test_lanes_are_a_power_of_two_that_divides_the_threads():
    for wrong, said in (({"lanes": 3}, "a power of two"), ({"lanes": 64, "threads": 32}, "a multiple of Knobs.lanes")):
        with pytest.raises(ValueError, match=said):
            Knobs(**wrong)
    assert pipeline_gpu.knobs_of(Schedule(features=Knobs(lanes=256))).threads == 256
    assert pipeline_gpu.knobs_of(Schedule()).lanes == 0
