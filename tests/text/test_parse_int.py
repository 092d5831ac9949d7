"""Decimal text to int64 in kernels."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from te_schedules.text import parse_int

PATTERN = re.compile(rb"[+-]?[0-9]+")
LIMITS = [2**63, 2**63 - 1, 2**63 + 1, 2**64, 2**64 - 1, 2**64 + 1, 10**19, 10**18, 92233720368 * 10**8, 92233720369 * 10**8]


def expected(text: bytes) -> tuple[bool, int, bool]:
    """(valid, value, in_range) by Python's own integers."""
    if not PATTERN.fullmatch(text):
        return False, 0, False
    value = int(text)
    in_range = -(2**63) <= value < 2**63
    return True, value if in_range else 0, in_range


@pytest.fixture(scope="module")
def kernel(text_kernel):
    return text_kernel(parse_int.emit, "bool", "int64", "bool")


def check(kernel, texts: list[bytes]) -> None:
    results = list(zip(*(column.tolist() for column in kernel.texts(texts)), strict=True))
    assert results == [expected(text) for text in texts]


def test_both_ends_of_int64_are_exact_and_one_beyond_is_out_of_range(kernel):
    numbers = [sign * (limit + step) for limit in LIMITS for step in (-1, 0, 1) for sign in (-1, 1)]
    check(kernel, [form % number for number in numbers for form in (b"%d", b"%+d", b"%040d", b"%0100d")])


@pytest.mark.parametrize(
    "text",
    [
        b"", b"+", b"-", b"+-1", b"--1", b" 1", b"1 ", b"1_000", b"1.0", b"1e3", b"0x10", b"1\0", b"\0001", b"12a45678",
        b"1234567a", b"a2345678", b"123456789012345:", b"/2345678", "١٢".encode(), "1２".encode(), b"\xff" * 8, b"\xfa1234567",
        b"1234\xff678", b"x" * 100,
    ],
)  # fmt: skip
def test_anything_else_is_invalid(kernel, text):
    valid, value, in_range = (column.tolist() for column in kernel.texts([text]))
    assert (valid, value, in_range) == ([False], [0], [False])


@given(st.lists(st.integers(-(10**22), 10**22), min_size=1))
def test_integers_are_read_as_python_reads_them(kernel, numbers):
    check(kernel, [str(number).encode() for number in numbers])


@given(st.from_regex(rb"[+-]?[0-9]{1,60}", fullmatch=True), st.integers(0, 40))
@example(b"+1", 0)
def test_leading_zeros_change_nothing(kernel, text, zeros):
    sign = text[:1] if text[:1] in b"+-" else b""
    check(kernel, [text, sign + b"0" * zeros + text[len(sign) :]])


@given(st.lists(st.text("0123456789+-. a\0:/", max_size=30), min_size=1))
def test_texts_that_are_nearly_integers_are_judged_right(kernel, texts):
    check(kernel, [text.encode() for text in texts])


def test_one_foreign_byte_at_any_place_makes_a_number_invalid(kernel):
    texts = [b"1" * k + bytes([byte]) + b"1" * (n - k - 1) for n in (1, 7, 8, 9, 17) for k in range(n) for byte in range(256)]
    check(kernel, texts)


def test_a_hundred_thousand_integers_are_read_right(kernel):
    source = random.Random(0)
    numbers = [source.choice((-1, 1)) * source.getrandbits(source.randint(1, 66)) for _ in range(100_000)]
    check(kernel, [b"%d" % number for number in numbers])


def test_nothing_outside_the_text_is_read(kernel, guarded_pages):
    for length in range(100):
        for text in (b"0" * length, b"-" + b"7" * length, b"9" * length + b"x"):
            for place in guarded_pages.edges(text):
                assert tuple(column.tolist()[0] for column in kernel.rows(np.array([place]))) == expected(text)
