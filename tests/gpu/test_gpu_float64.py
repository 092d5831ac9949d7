"""Logarithms, exp and pow of kernels for GPUs, compiled as C++: those of the C library, which kernels for CPUs call."""

from __future__ import annotations

import ctypes
import os
import pathlib
import subprocess

import numpy as np
import pyarrow as pa
import pytest
from ops.identity_model import identity_model

import tvm_rank
from te_schedules.gpu import prelude

EMULATOR = pathlib.Path(__file__).parent / "emulator"
FUNCTIONS = ("log", "log2", "log10")
COUNT = 1_000_000
LOOPS = "\n".join(
    f'extern "C" void {made}_of(const double* x, double* y, long n) {{ for (long k = 0; k < n; ++k) y[k] = {made}(x[k]); }}'
    for name in FUNCTIONS
    for made in (f"rank_{name}", name)
)
LOOPS += "".join(
    f"""
extern "C" void {made}exp_of(const double* x, double* y, long n) {{ for (long k = 0; k < n; ++k) y[k] = {made}exp(x[k]); }}
extern "C" void {made}pow_of(const double* x, const double* b, double* y, long n) {{
  for (long k = 0; k < n; ++k) y[k] = {made}pow(x[k], b[k]);
}}"""
    for made in ("rank_", "")
)


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory):
    """(name of a function, numbers, and the exponents of pow) -> its values"""
    folder = tmp_path_factory.mktemp("logarithms")
    source, library = folder / "loops.cpp", folder / "loops.so"
    source.write_text(f"{prelude.text()}\n{LOOPS}")
    options = ["-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-w", "-include", EMULATOR / "device.h"]
    subprocess.run([os.environ.get("CXX", "g++"), *options, "-o", library, source], check=True)
    loops = ctypes.CDLL(str(library))

    def call(name: str, *numbers: np.ndarray) -> np.ndarray:
        arrays = [*(np.ascontiguousarray(one, np.float64) for one in numbers), np.zeros(len(numbers[0]))]
        loops[f"{name}_of"](*(one.ctypes.data_as(ctypes.c_void_p) for one in arrays), ctypes.c_long(len(arrays[0])))
        return arrays[-1]

    return call


def differing(of, name: str, numbers: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Which of the numbers have another value than in the C library; all NaN are one value."""
    ours, theirs = of(f"rank_{name}", numbers, *more), of(name, numbers, *more)
    return numbers[(ours.view(np.int64) != theirs.view(np.int64)) & ~(np.isnan(ours) & np.isnan(theirs))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_numbers_and_powers_have_the_values_of_the_c_library(of, name):
    tiny, largest = np.finfo(np.float64).tiny, np.finfo(np.float64).max
    special = [0.0, -0.0, -1.0, -tiny, np.inf, -np.inf, np.nan, 1.0, 5e-324, tiny, np.nextafter(tiny, 0), largest]
    near = [np.nextafter(1.0, 0), np.nextafter(1.0, 2), np.sqrt(2.0), np.sqrt(0.5)]
    tens = [float(f"1e{k}") for k in range(-323, 309)]
    twos = [2.0**k for k in range(-1074, 1024)]
    assert differing(of, name, np.array(special + near + tens + twos)).tolist() == []


def test_powers_of_ten_have_whole_logarithms(of):
    assert of("rank_log10", np.array([float(f"1e{k}") for k in range(-300, 301)])).tolist() == list(range(-300, 301))


@pytest.mark.parametrize(("name", "share"), [("log", 0.001), ("log10", 0.001), ("log2", 0.003)])
def test_few_numbers_have_another_last_bit(of, name, share):
    random = np.random.default_rng(7)
    bits = random.integers(0, 0x7FF0000000000000, COUNT).view(np.float64)
    subnormal = random.integers(1, 1 << 52, COUNT // 4).view(np.float64)
    prices = random.integers(1, 10**8, COUNT // 4) / 100
    for numbers in (bits, subnormal, prices, random.uniform(0, 4, COUNT), np.exp(random.uniform(-10, 20, COUNT))):
        other = differing(of, name, numbers)
        assert len(other) <= share * len(numbers)
        ours, theirs = of(f"rank_{name}", other), of(name, other)
        assert (np.abs(ours - theirs) <= 2 * np.spacing(np.abs(theirs))).all()


def test_exp_and_pow_are_those_of_the_c_library(of):
    special = np.array(
        [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 1e-310, 5e-324, 1e300, -1e300, np.inf, -np.inf, np.nan, 745.2, -745.2, 710.0]
    )
    bases, powers = (numbers.ravel() for numbers in np.meshgrid(special, special))
    assert differing(of, "exp", special).tolist() == []
    assert differing(of, "pow", bases, powers).tolist() == []
    whole, least = np.meshgrid(np.arange(-2000.0, 2000.0), np.arange(0.0, 5.0))
    exact = whole.ravel(), least.ravel()
    assert (of("rank_pow", *exact) == exact[0] ** exact[1]).all()
    places = np.arange(-22.0, 23.0)
    assert differing(of, "pow", np.full(len(places), 10.0), places).tolist() == []
    roots = np.arange(1.0, 100000.0)
    assert (of("rank_pow", roots * roots, np.full(len(roots), 0.5)) == roots).all()
    random = np.random.default_rng(3)
    for least_x, largest_x in ((-20, 20), (-700, 700)):
        assert len(differing(of, "exp", random.uniform(least_x, largest_x, COUNT))) <= 0.002 * COUNT
    for largest_power in (5, 100):
        x, y = random.uniform(0, 100, COUNT), random.uniform(-largest_power, largest_power, COUNT)
        assert len(differing(of, "pow", x, y)) <= 0.003 * COUNT


def test_features_of_logarithms_are_those_of_the_cpu(emulated, tmp_path):
    assert emulated is not None
    text = {"feature_type": "raw_feature", "expression": "item:text"}
    features = {
        "whole": text | {"normalizer": "method=expression,expr=trunc(log10(x)) + (log10(x) == rint(log10(x)))"},
        "two": text | {"normalizer": "method=expression,expr=ceil(log2(x)) * log(x)"},
        "scaled": text | {"normalizer": "method=log10,threshold=1e-9,default=-20"},
        "powers": text | {"normalizer": "method=expression,expr=roundp(x, -4) + (rint(x) ^ 2 == rint(x) * rint(x)) + sigmoid(x)"},
        "several": {
            "feature_type": "expr_feature",
            "expression": "trunc(log10(a) * b) + log2(a)",
            "variables": ["item:a", "user:b"],
        },
        "of_float": {
            "feature_type": "raw_feature",
            "expression": "item:a",
            "normalizer": "method=log10,threshold=1e-9,default=-20",
        },
    }
    fg = {"features": [{"feature_name": name, **keys} for name, keys in features.items()]}
    numbers = [10.0**k for k in range(-12, 13)] + [0.001, 0.0, -1.0, 999.9999, 2.0, 3.0, 1e-300, 5e-324]
    # numbers of which CUDA's functions have another value are rare among others than powers: their texts have all digits
    numbers += np.random.default_rng(1).uniform(0.01, 1e6, 3000).tolist()
    items = {
        "text": pa.array([repr(number) for number in numbers]),
        "a": pa.array(numbers, pa.float64()),
    }
    scores = {}
    for target in ("cpu", "cuda-sm_90"):
        artifact = tvm_rank.compile(features=fg, model=identity_model(dict.fromkeys(features, 1)), target=target)
        artifact.save(tmp_path / target)
        scores[target] = tvm_rank.load(tmp_path / target).rank(user={"b": [1e5]}, items=items)
    for name, of_cpu in scores["cpu"].items():
        np.testing.assert_array_equal(scores["cuda-sm_90"][name], of_cpu, err_msg=name)
        assert len(np.unique(of_cpu)) > 5, name
