"""int64 to decimal text in kernels."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from te_schedules.text import format_int

INT64 = st.integers(-(2**63), 2**63 - 1)
UNTOUCHED = 0xEE


@pytest.fixture(scope="module")
def kernel(text_kernel):
    return text_kernel(format_int.emit, "int64")


def written(kernel, numbers: list[int]) -> list[bytes]:
    """The text of each number; its MAX_BYTES bytes stand between bytes that must not change."""
    room = np.full((len(numbers), 1 + format_int.MAX_BYTES + 1), UNTOUCHED, np.uint8)
    addresses = room.ctypes.data + 1 + room.shape[1] * np.arange(len(numbers))
    lengths = kernel.rows(np.stack([np.array(numbers, np.int64), addresses], axis=1))[0]
    assert (room[:, [0, -1]] == UNTOUCHED).all()
    return [row[1 : 1 + length].tobytes() for row, length in zip(room, lengths.tolist(), strict=True)]


def check(kernel, numbers: list[int]) -> None:
    assert written(kernel, numbers) == [str(number).encode() for number in numbers]


def test_both_ends_of_int64_are_written(kernel):
    assert written(kernel, [-(2**63), 2**63 - 1, 0]) == [b"-9223372036854775808", b"9223372036854775807", b"0"]


def test_the_neighbours_of_all_powers_of_ten_are_written(kernel):
    check(kernel, [sign * (10**k + step) for k in range(19) for step in (-1, 0, 1) for sign in (-1, 1)])


def test_all_numbers_of_up_to_five_digits_are_written(kernel):
    check(kernel, list(range(-99_999, 100_000)))


@given(st.lists(INT64, min_size=1))
def test_numbers_are_written_as_python_writes_them(kernel, numbers):
    check(kernel, numbers)


def test_a_hundred_thousand_numbers_of_all_lengths_are_written_right(kernel):
    source = random.Random(0)
    check(kernel, [source.choice((-1, 1)) * source.getrandbits(source.randint(1, 63)) for _ in range(100_000)])


def test_nothing_behind_the_room_is_written(kernel, guarded_pages):
    address = guarded_pages.end - format_int.MAX_BYTES
    for number in (0, -1, 10**8, -(10**8), 10**16, -(2**63)):
        assert kernel.rows(np.array([[number, address]]))[0].tolist() == [len(str(number))]
