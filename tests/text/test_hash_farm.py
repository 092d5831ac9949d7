"""FarmHash Fingerprint64 in kernels."""

from __future__ import annotations

import random

import farmhash
import numpy as np
import pytest
from hash_references import fingerprint64

from te_schedules.text import hash_farm

# recorded from google/farmhash
KNOWN = {
    b"": 11160318154034397263,
    b"a": 12917804110809363939,
    b"foo": 6150913649986995171,
    b"hello": 13009744463427800296,
    b"Amazon Redshift": 8085098817162212970,
    b"2applefalse": 2794438866806483259,
}


@pytest.fixture(scope="module")
def kernel(text_kernel):
    return text_kernel(hash_farm.emit, "uint64")


def test_known_texts_have_their_fingerprints(kernel):
    assert kernel.texts(list(KNOWN))[0].tolist() == list(KNOWN.values())


def test_every_length_from_0_to_300_agrees_with_the_definition(kernel):
    source = random.Random(0)
    texts = [source.randbytes(n) for n in range(301) for _ in range(3)]
    assert kernel.texts(texts)[0].tolist() == [fingerprint64(text) for text in texts]


def test_a_hundred_thousand_texts_agree_with_the_original_library(kernel):
    source = random.Random(1)
    texts = [source.randbytes(source.choice([3, 16, 32, 64, 130]) * source.randint(0, 100) // 100) for _ in range(100_000)]
    assert np.array_equal(kernel.texts(texts)[0], np.array([farmhash.fingerprint64(text) for text in texts], np.uint64))


@pytest.mark.parametrize("text", ["ключ", "価格帯:高", "naïve café", "🙂🙃", "\0", "\0\0", "a\0b", "x" * 63 + "\0"])
def test_characters_of_many_bytes_and_nul_are_only_bytes(kernel, text):
    assert kernel.texts([text.encode()])[0].tolist() == [fingerprint64(text.encode())]


def test_nothing_outside_the_text_is_read(kernel, guarded_pages):
    source = random.Random(2)
    for length in range(301):
        text = source.randbytes(length)
        for place in guarded_pages.edges(text):
            assert kernel.rows(np.array([place]))[0].tolist() == [fingerprint64(text)]
