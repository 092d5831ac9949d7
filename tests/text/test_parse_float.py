"""Decimal text to float64 in kernels, against Python's float(), which rounds correctly."""

from __future__ import annotations

import itertools
import math
import random
import re
import struct
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from te_schedules.text import parse_float

PATTERN = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
BITS = st.integers(0, 2**64 - 1)


def double(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def same(value: float, other: float) -> bool:
    """Equal bit for bit, or both NaN."""
    return struct.pack("<d", value) == struct.pack("<d", other) or (math.isnan(value) and math.isnan(other))


@pytest.fixture(scope="module")
def kernel(text_kernel):
    return text_kernel(parse_float.emit, "bool", "float64")


def check(kernel, texts: list[bytes]) -> None:
    """`valid` follows the grammar, and the value is Python's."""
    valid, values = (column.tolist() for column in kernel.texts(texts))
    assert valid == [bool(PATTERN.fullmatch(text)) for text in texts]
    expected = [float(text) if ok else 0.0 for text, ok in zip(texts, valid, strict=True)]
    assert [text for text, got, want in zip(texts, values, expected, strict=True) if not same(got, want)] == []


def midpoint(bits: int) -> Decimal:
    """Half way between a finite double >= 0 and the next one (or 2**1024), exactly."""
    upper = double(bits + 1)
    with localcontext() as context:
        context.prec = 1200
        return (Decimal(double(bits)) + (Decimal(upper) if math.isfinite(upper) else Decimal(2) ** 1024)) / 2


def neighbours(middle: Decimal, zeros: int, point: bool) -> list[bytes]:
    """The decimal itself, and with one more or less in the last of `zeros` further digits."""
    _sign, digits, exponent = middle.as_tuple()
    whole = int("".join(map(str, digits))) * 10**zeros
    texts = []
    for step in (-1, 0, 1):
        text, power = str(whole + step), int(exponent) - zeros
        texts.append(f"{text[0]}.{text[1:]}e{power + len(text) - 1}" if point else f"{text}e{power}")
    return [text.encode() for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        b"0", b"-0", b"+0.0", b"-.0e5", b"1.", b".5", b"00012.50", b"1e5", b"1E+05", b"1e-005", b"0e999999999999999999999",
        b"1e400", b"-1e400", b"1e-400", b"4.9e-324", b"2.4703282292062327e-324", b"2.4703282292062328e-324",
        b"2.2250738585072011e-308", b"2.2250738585072014e-308", b"1.7976931348623157e308", b"1.7976931348623158e308",
        b"1.7976931348623159e308", b"9007199254740993", b"9007199254740992.99999999999999",
        b"9007199254740993.00000000000000000000000000000000001", b"18446744073709551615", b"18446744073709551616",
        b"9999999999999999999e-342", b"1e99999999999999999999999", b"1e-99999999999999999999999", b"0." + b"0" * 5000 + b"1e5001",
        b"1" + b"0" * 5000 + b"e-5000", b"1" + b"0" * 5000, b"0" * 5000 + b"7", b"0." + b"0" * 5000 + b"1",
    ],
)  # fmt: skip
def test_named_numbers_are_read_right(kernel, text):
    assert PATTERN.fullmatch(text)
    check(kernel, [text])


def test_inf_and_nan_are_read_in_any_case_and_with_a_sign(kernel):
    names = [b"inf", b"INF", b"Infinity", b"iNfInItY", b"nan", b"NaN"]
    texts = [sign + name for sign in (b"", b"+", b"-") for name in names]
    valid, values = kernel.texts(texts)
    assert valid.all()
    assert np.array_equal(values, np.array([float(text) for text in texts]), equal_nan=True)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"+", b"-", b".", b"+.", b"e5", b".e5", b"1e", b"1e+", b"1e-", b"1e5.", b"1.2.3", b"1..2", b" 1", b"1 ", b"1_0",
        b"0x1p3", b"0x10", b"1,5", b"1f", b"--1", b"+-1", b"in", b"infi", b"infinit", b"infinityy", b"nano", b"nan(1)", b"n",
        b".inf", b"1inf", b"+e", b"\0", b"1\0", b"\xb11", "１".encode(), b"12345678901234567890e", b"1" * 1000 + b"x", b"I\x0eF",
        b"INFINIT\x19",
    ],
)  # fmt: skip
def test_anything_else_is_invalid_and_gives_zero(kernel, text):
    valid, values = kernel.texts([text])
    assert (valid.tolist(), values.tolist()) == ([False], [0.0])


@given(st.lists(BITS, min_size=1))
def test_the_shortest_text_of_any_double_gives_it_back(kernel, patterns):
    check(kernel, [repr(double(bits)).encode() for bits in patterns])


@given(st.from_regex(rb"[+-]?([0-9]{1,1000}\.?[0-9]{0,30}|[0-9]{0,30}\.[0-9]{1,1000})(e[+-]?[0-9]{1,4})?", fullmatch=True))
def test_long_digit_strings_are_rounded_right(kernel, text):
    check(kernel, [text])


@given(st.lists(st.text("0123456789+-.eEinfatyx_ \0", max_size=24), min_size=1))
def test_texts_that_are_nearly_numbers_are_judged_right(kernel, texts):
    check(kernel, [text.encode() for text in texts])


@given(st.integers(0, 2**63 - 2**52 - 1), st.integers(0, 300), st.booleans())
def test_decimals_at_and_next_to_the_middle_of_two_doubles_are_rounded_right(kernel, bits, zeros, point):
    check(kernel, neighbours(midpoint(bits), zeros, point))


@pytest.mark.parametrize("bits", [0, 1, 2, 2**52 - 2, 2**52 - 1, 2**52, 2**53 - 1, 0x7FEFFFFFFFFFFFFE, 0x7FEFFFFFFFFFFFFF])
@pytest.mark.parametrize("zeros", [1, 40, 2000])
def test_middles_at_the_edges_of_the_format_are_rounded_right(kernel, bits, zeros):
    check(kernel, [text for point in (False, True) for text in neighbours(midpoint(bits), zeros, point)])


def test_ties_of_few_digits_go_to_the_even_double(kernel):
    source = random.Random(0)
    ties = [(2 * source.getrandbits(53) + 2**54 + 1, source.randint(0, 8)) for _ in range(10_000)]
    # an odd 55-bit number lies in the middle of two doubles; so does its quarter, which has two digits behind the point
    texts = [b"%d" % (number << up) for number, up in ties] + [b"%d.25" % (number >> 3) for number, _ in ties]
    check(kernel, texts)


def nearly_tied(power: int, scale: int) -> list[int]:
    """The w below 10**19 with w * 10**power extremely close to the middle of two doubles of the exponent `scale`.

    w * 10**power / 2**scale must be close to an odd number of 54 bits: the convergents of 10**power / 2**scale come closest.
    """
    ratio = Fraction(10) ** power / Fraction(2) ** scale
    found, rest = [], ratio
    (p0, q0), (p1, q1) = (0, 1), (1, 0)
    while q1 < 10**19 and p1 < 2**54:
        whole = rest.numerator // rest.denominator
        (p0, q0), (p1, q1) = (p1, q1), (whole * p1 + p0, whole * q1 + q0)
        if p1 % 2 and 2**53 < p1 < 2**54 and q1 < 10**19:
            found.append(q1)
        if rest == whole:
            break
        rest = 1 / (rest - whole)
    return found


def test_short_decimals_next_to_the_middle_of_two_doubles_are_rounded_right(kernel):
    texts = []
    for power in range(-340, 309, 3):
        for bits in range(50, 64, 2):  # of w
            scale = math.floor(power * math.log2(10)) + bits - 53
            texts += [b"%de%d" % (w + step, power) for w in nearly_tied(power, scale) for step in (-1, 0, 1)]
    assert len(texts) > 1000
    check(kernel, texts)


def test_a_hundred_thousand_doubles_are_read_right(kernel):
    source = random.Random(1)
    check(kernel, [repr(double(source.getrandbits(64))).encode() for _ in range(100_000)])


def test_a_hundred_thousand_short_decimals_are_read_right(kernel):
    source = random.Random(2)
    texts = [b"%de%d" % (source.getrandbits(source.randint(1, 64)), source.randint(-345, 310)) for _ in range(50_000)]
    texts += [
        b"%d.%0*d" % (source.randrange(1000), digits := source.randint(1, 30), source.randrange(10**digits)) for _ in range(50_000)
    ]
    check(kernel, texts)


def test_a_thousand_middles_of_random_doubles_are_rounded_right(kernel):
    source = random.Random(3)
    check(
        kernel,
        [text for _ in range(1000) for text in neighbours(midpoint(source.randrange(0x7FF << 52)), source.randint(0, 60), True)],
    )


def test_nothing_outside_the_text_is_read(kernel, guarded_pages):
    digits = b"12345678901234567890" * 60
    texts = [
        form % digits[:n]
        for n in (*range(1, 40), 799, 800, 801, 1200)
        for form in (b"%s", b"-.%s", b"%se", b"%se-3", b"%s.", b"%s.5")
    ]
    texts += [name[:n] for name in (b"infinity", b"-nan", b"+inf") for n in range(len(name) + 1)]
    texts += neighbours(midpoint(2**52 + 12345), 3, True)
    for text in texts:
        for place in guarded_pages.edges(text):
            valid, values = kernel.rows(np.array([place]))
            assert valid.tolist() == [bool(PATTERN.fullmatch(text))]
            assert same(values.tolist()[0], float(text) if valid[0] else 0.0)


def test_short_texts_of_every_form(kernel):
    """Those that are read as one word: every place of a point, a sign, and of a byte that is no digit."""
    alphabet = b"059.+-e/:\x00\xb0\xff"
    texts = [bytes(text) for size in range(1, 5) for text in itertools.product(alphabet, repeat=size)]
    rng = random.Random(8)
    for size in range(5, 11):
        texts += [bytes(rng.choices(alphabet, weights=[9, 9, 9, 3, 1, 1, 1, 1, 1, 1, 1, 1], k=size)) for _ in range(4000)]
        for place in range(size + 1):
            number = b"%0*d" % (size, rng.randrange(10**size))
            texts += [sign + number[:place] + b"." + number[place:] for sign in (b"", b"-", b"+")]
    check(kernel, texts)
