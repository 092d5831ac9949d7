"""std::hash<std::string> of libstdc++ in kernels."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hash_references import std_hash

from te_schedules.text import hash_std

# hash % 100, recorded from feature generation that uses libstdc++
KNOWN_MOD_100 = {
    b"abc": 33,
    b"efg": 44,
    b"hij": 66,
    b"xyz": 13,
    b"0": 26,
    b"1": 95,
    b"2": 70,
    b"ua_ia": 37,
    b"ub_ib": 97,
    b"13_2": 38,
}


@pytest.fixture(scope="module")
def kernel(text_kernel):
    return text_kernel(hash_std.emit, "uint64")


def test_known_texts_have_their_buckets(kernel):
    assert (kernel.texts(list(KNOWN_MOD_100))[0] % np.uint64(100)).tolist() == list(KNOWN_MOD_100.values())


def test_the_empty_text_has_its_hash(kernel):
    assert kernel.texts([b""])[0].tolist() == [6142509188972423790]


def test_every_length_from_0_to_300_agrees_with_the_definition(kernel):
    source = random.Random(0)
    texts = [source.randbytes(n) for n in range(301) for _ in range(3)]
    assert kernel.texts(texts)[0].tolist() == [std_hash(text) for text in texts]


def test_a_hundred_thousand_short_texts_agree_with_the_definition(kernel):
    source = random.Random(1)
    texts = [source.randbytes(source.randint(0, 40)) for _ in range(100_000)]
    assert np.array_equal(kernel.texts(texts)[0], np.array([std_hash(text) for text in texts], np.uint64))


@pytest.mark.parametrize("text", ["ключ", "価格帯:高", "naïve café", "🙂🙃", "\0", "\0\0", "a\0b", "x" * 63 + "\0"])
def test_characters_of_many_bytes_and_nul_are_only_bytes(kernel, text):
    assert kernel.texts([text.encode()])[0].tolist() == [std_hash(text.encode())]


def test_nothing_outside_the_text_is_read(kernel, guarded_pages):
    source = random.Random(2)
    for length in range(301):
        text = source.randbytes(length)
        for place in guarded_pages.edges(text):
            assert kernel.rows(np.array([place]))[0].tolist() == [std_hash(text)]
