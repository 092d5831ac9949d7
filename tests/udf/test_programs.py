"""Functions of users as machine code, call by call against Python."""

from __future__ import annotations

import functools
import math

import pytest
from cases import udfs
from hypothesis import given, settings
from hypothesis import strategies as st
from udf.machine import FAILED, Machine

from tvm_rank.functions import builtin

NAN, INF = math.nan, math.inf
CASES = {
    udfs.arithmetic: [(7, 2), (-7, 2), (7, -2), (5, 0), (-(2**31), -1), (0, 3), (2**20, -7), (1, 64)],
    udfs.reals: [(4.0, 1.0), (1.0, 4.0), (1.0, 0.0), (-5.5, 2.0), (5.5, -2.0), (NAN, 1.0), (INF, 1.0), (1.0, INF), (1e300, 1e10),
                 (9.0, -1.0), (-0.0, 3.0), (1.0, 710.0), (2.5, 2.5), (-1.0, 0.5)],
    udfs.loops: [(0,), (5,), (6,), (100,), (-3,)],
    udfs.hits: [(["a", "bc"], "abcd"), ([], "x"), (["abc", "", "zz"], ""), (["中"], "x中"), (["xyz"], "xyy")],
    udfs.lists: [([1.5, 2.0], [2, 3]), ([], []), ([1.0] * 100, list(range(100))), ([5.0, 1.0], [-3, 3]), ([1.0], [])],
    udfs.pieces: [("hello", "world"), ("", "abcd"), ("", "a"), ("xyz", ""), ("é🙂ñ中", "裙子"), (b"\xe4\xb8ab\xf0\x9f\x99", b"\xed\xa0\x80x")],
    udfs.hash_of_bytes: [(b"",), ("hello中".encode(),), (bytes(range(256)),)],
    udfs.optional: [(1.0,), (-1.0,), (200.0,), (5.0,), (2.5,)],
    udfs.digits: [("a1b23",), ("",), ("中9",)],
    udfs.window: [([3, 1, 4, 1, 5, 9], True), ([], False), ([7, 7, 8], True)],
    builtin.edit_distance: [("裙子", "连衣裙"), ("kitten", "sitting"), ("", ""), ("a", ""), (b"a\xffb", "a"), ("x" * 300, "y" * 200)],
    builtin.edit_distance_of_bytes: [("裙子".encode(), "连衣裙".encode()), (b"", b"abc")],
}  # fmt: skip


@functools.cache
def machine(udf) -> Machine:
    return Machine(udf)


@pytest.mark.parametrize(("udf", "arguments"), [(udf, case) for udf, cases in CASES.items() for case in cases])
def test_a_call_gives_what_python_gives(udf, arguments):
    machine(udf).check(*arguments)


def test_edit_distances_have_known_values():
    run = machine(builtin.edit_distance)
    assert [run("裙子", "连衣裙"), run("kitten", "sitting"), run("flaw", "lawn"), run("", "abc")] == [3, 3, 2, 3]
    assert machine(builtin.edit_distance_of_bytes)("裙".encode(), b"") == 3


def test_what_raises_in_python_has_no_value():
    assert machine(udfs.arithmetic)(1, 0) == FAILED
    assert machine(udfs.optional)(-1.0) == FAILED
    assert machine(udfs.lists)([], []) == [1.0]


texts = st.text(max_size=12) | st.binary(max_size=12)
numbers = st.integers(-(2**20), 2**20)
floats = st.floats(-1e15, 1e15) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, NAN, INF, -INF])


@given(a=texts, b=texts)
@settings(max_examples=60)
def test_generated_texts_give_what_python_gives(a, b):
    machine(builtin.edit_distance).check(a, b)
    machine(udfs.pieces).check(a, b)


@given(a=numbers, b=st.integers(-3, 70) | numbers, x=floats, y=floats)
@settings(max_examples=100)
def test_generated_numbers_give_what_python_gives(a, b, x, y):
    if b < 40:
        machine(udfs.arithmetic).check(a, b)
    machine(udfs.reals).check(x, y)
    machine(udfs.optional).check(x)


@given(xs=st.lists(st.floats(-1e6, 1e6), max_size=8), ks=st.lists(st.integers(-5, 9), max_size=8), flag=st.booleans())
@settings(max_examples=60)
def test_generated_lists_give_what_python_gives(xs, ks, flag):
    machine(udfs.lists).check(xs, ks)
    machine(udfs.window).check(ks, flag)


@given(words=st.lists(st.text("abcx中", max_size=4), max_size=4), title=st.text("abcx中", max_size=8))
@settings(max_examples=60)
def test_generated_words_give_what_python_gives(words, title):
    machine(udfs.hits).check(words, title)
    machine(udfs.digits).check(title)
