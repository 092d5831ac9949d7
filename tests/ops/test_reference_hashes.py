"""The two hash functions, against published values and a second implementation."""

from __future__ import annotations

import random

import farmhash
import pytest

from tvm_rank.ops.reference import hash_farm, hash_std


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"", 11160318154034397263),
        (b"a", 12917804110809363939),
        (b"hello", 13009744463427800296),
        (b"Amazon Redshift", 8085098817162212970),
        (b"test" * 8, 2**64 - 4196240717365766262),
        (b"test" * 64, 3500507768004279527),
    ],
    ids=["empty", "1-byte", "5-bytes", "15-bytes", "32-bytes", "256-bytes"],
)
def test_fingerprint64_has_its_published_values(text, wanted):
    assert hash_farm(text) == wanted


def test_fingerprint64_agrees_with_pyfarmhash_at_every_length():
    draw = random.Random(7)
    for length in range(300):
        text = draw.randbytes(length)
        assert hash_farm(text) == farmhash.fingerprint64(text), text


def test_fingerprint64_of_zeros_and_ones_agrees_with_pyfarmhash():
    for length in (*range(70), 127, 128, 129, 191, 192, 193, 1024):
        for text in (b"\x00" * length, b"\xff" * length):
            assert hash_farm(text) == farmhash.fingerprint64(text), length


@pytest.mark.parametrize(("text", "wanted"), [(b"", 6142509188972423790), (b"a", 4993892634952068459)])
def test_the_std_hash_has_the_values_of_libstdcxx(text, wanted):
    assert hash_std(text) == wanted


def test_the_std_hash_gives_the_buckets_of_the_engine():
    """Modulo 100, as TorchEasyRec's tests assert them of pyfg: tails of 1 to 7 bytes and none."""
    buckets = {
        "abc": 33, "efg": 44, "hij": 66, "xyz": 13, "0": 26, "1": 95, "2": 70, "3": 13, "4": 56, "x": 35, "y": 30, "z": 54,
        "ua_ia": 37, "ua_ib": 90,
        "ub_ia": 5, "ub_ib": 97, "uc_ic": 60, "ud_ic": 56, "ug_id": 40, "uh_if": 55, "10_1": 93, "match_feat_1": 71,
    }  # fmt: skip
    assert {text: hash_std(text.encode()) % 100 for text in buckets} == buckets


# Computed with libstdc++'s std::hash<std::string> over "abcdef..." of these lengths: whole words with and without a tail.
def test_the_std_hash_mixes_whole_words_and_the_tail():
    alphabet = bytes(97 + k % 26 for k in range(256))
    assert {length: hash_std(alphabet[:length]) for length in WHOLE_AND_TAIL} == WHOLE_AND_TAIL


WHOLE_AND_TAIL = {
    7: 16063891478991045295,
    8: 8664279048047335611,
    9: 13036955925923793583,
    15: 14639152421998547408,
    16: 9002761040096737846,
    23: 15588822394262873986,
    24: 6288719746905094528,
    64: 8478503741672321388,
    65: 4562337326425666843,
    255: 11065344621223746645,
    256: 11894892650819268950,
}
