"""float32 to its shortest text in kernels, against the definition and against Arrow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm.script.ir_builder import tirx as T

from te_schedules.intrin import Word
from te_schedules.text import format_float, shortest_digits
from tvm_rank.ops.float_text import float_text

UNTOUCHED = 0xEE
BITS = st.integers(0, 2**32 - 1)


def emit(bits, address):
    with shortest_digits.table():
        return format_float.emit(T.reinterpret("float32", T.cast(Word.of(bits).expr, "uint32")), address)


@pytest.fixture(scope="module")
def kernel(text_kernel):
    return text_kernel(emit, "int64")


def written(kernel, bits: np.ndarray) -> list[str]:
    """The text of each bit pattern; its ROOM bytes stand between bytes that must not change."""
    room = np.full((len(bits), 1 + format_float.ROOM + 1), UNTOUCHED, np.uint8)
    addresses = room.ctypes.data + 1 + room.shape[1] * np.arange(len(bits))
    lengths = kernel.rows(np.stack([bits.astype(np.int64), addresses], axis=1))[0]
    assert (room[:, [0, -1]] == UNTOUCHED).all()
    assert lengths.max() <= format_float.MAX_BYTES
    return [row[1 : 1 + length].tobytes().decode() for row, length in zip(room, lengths.tolist(), strict=True)]


def check(kernel, patterns: Iterable[int]) -> list[str]:
    bits = np.array(list(patterns), np.uint32)
    values = bits.view(np.float32)
    texts = written(kernel, bits)
    assert texts == pa.array(values).cast(pa.string()).to_pylist()
    return texts


def bits_of(values: Iterable[float]) -> list[int]:
    with np.errstate(over="ignore"):
        return np.array(list(values), np.float64).astype(np.float32).view(np.uint32).tolist()


def test_named_numbers_have_the_texts_of_the_definition(kernel):
    named = {0.1: "0.1", 5.2: "5.2", 1.0: "1", 123456.0: "123456", 2.0**24: "16777216", 123456789.0: "123456790", 1e9: "1000000000",
             1e10: "1e+10", 1.5e10: "1.5e+10", 1e-6: "0.000001", 1e-7: "1e-7", -2.5: "-2.5", 0.0: "0", 1.4e-45: "1e-45",
             3.4028234663852886e38: "3.4028235e+38", np.inf: "inf", -np.inf: "-inf", np.nan: "nan"}  # fmt: skip
    assert check(kernel, bits_of(named)) == list(named.values())
    assert [float_text(np.float32(value)) for value in named] == list(named.values())
    assert check(kernel, [0x7FC00001, 0xFFC00000, 0xFF800001, 0x80000000]) == ["nan", "nan", "nan", "-0"]


def test_powers_of_ten_and_of_two_and_their_neighbours_are_written(kernel):
    patterns = np.array(bits_of([10.0**k for k in range(-45, 39)] + [2.0**k for k in range(-149, 128)]), np.int64)
    check(kernel, (patterns[:, None] + np.arange(-2, 3)).clip(0, 0xFF800000).reshape(-1).tolist())


def test_subnormals_halves_and_integers_are_written(kernel):
    check(kernel, [*range(2000), *range(2**23 - 500, 2**23 + 500)])
    check(kernel, bits_of([k / 2 for k in range(-3000, 3000)] + [k / 100 for k in range(10_000)] + [1e7 + k for k in range(5000)]))


def test_a_hundred_thousand_bit_patterns_are_written_right_and_read_back(kernel):
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000).astype(np.uint32)
    values, texts = bits.view(np.float32), check(kernel, bits.tolist())
    known = ~np.isnan(values)
    assert (np.array(texts)[known].astype(np.float64).astype(np.float32) == values[known]).all()


@given(st.lists(BITS, min_size=1))
def test_the_definition_the_kernel_and_arrow_agree(kernel, patterns):
    texts = check(kernel, patterns)
    assert texts == [float_text(value) for value in np.array(patterns, np.uint32).view(np.float32)]
