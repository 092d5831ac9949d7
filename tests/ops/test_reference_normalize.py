"""Normalizers and boundaries, on values recorded from the engine or worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tvm_rank.config.normalizer import parse_normalizer
from tvm_rank.config.spec import Boundaries
from tvm_rank.ops.normalize import bucket_of, log10_float32, normalize_number, normalize_text, to_float32

f32 = np.float32
ZSCORE = parse_normalizer("method=zscore,mean=0.1,standard_deviation=0.3")
MINMAX = parse_normalizer("method=minmax,min=0.1,max=0.8")
LOG10 = parse_normalizer("method=log10,threshold=0.05,default=-5")
ROOT = parse_normalizer("method=expression,expr=sqrt(x) + 1/3")


@pytest.mark.parametrize(
    ("normalizer", "x", "of_number", "of_text"),
    [
        pytest.param(ZSCORE, 0.1, 0.0, -4.967053435223079e-09, id="zscore"),
        pytest.param(ZSCORE, 10, 32.999996185302734, 33.0, id="zscore-large"),
        pytest.param(MINMAX, 0.1, 0.0, -2.1287374085687816e-09, id="minmax"),
        pytest.param(MINMAX, 10, 14.14285659790039, 14.142857551574707, id="minmax-outside"),
        pytest.param(LOG10, 0.05, -5.0, -5.0, id="log10-at-the-threshold"),
        pytest.param(LOG10, 3, 0.4771212339401245, 0.4771212637424469, id="log10"),
        pytest.param(LOG10, 0.5, -0.3010300099849701, -0.3010300099849701, id="log10-below-1"),
        pytest.param(LOG10, math.nan, -5.0, -5.0, id="log10-of-nan"),
        pytest.param(LOG10, math.inf, math.inf, math.inf, id="log10-of-inf"),
        pytest.param(ROOT, 0.1, math.sqrt(f32(0.1)) + 1 / 3, math.sqrt(0.1) + 1 / 3, id="expression-in-double"),
        pytest.param(None, 0.1, 0.1, 0.1, id="none"),
        pytest.param(None, math.nan, math.nan, math.nan, id="nan"),
        pytest.param(ZSCORE, 1e39, math.inf, math.inf, id="beyond-float32"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_numbers_are_normalized_in_float32_and_texts_in_double(normalizer, x, of_number, of_text):
    for got, wanted in ((normalize_number(normalizer, to_float32(x)), of_number), (normalize_text(normalizer, x), of_text)):
        assert isinstance(got, f32)
        np.testing.assert_equal(got, f32(wanted))


# 2, 3, 7, 10, 32 and 100 with their neighbours, and the bucket of each among results one step apart: recorded from pyfg 1.0.5.
def test_log10_of_float32_has_the_roundings_of_the_engine():
    results = [0.30103, 0.4771212339401245, 0.84509804, 1.0, 1.50515, 2.0]
    bounds = (
        0.3010299801826477, 0.3010300099849701, 0.3010300397872925, 0.4771212339401245, 0.4771212637424469, 0.4771212935447693,
        0.8450979590415955, 0.8450980186462402, 0.845098078250885, 0.9999999403953552, 1.0, 1.0000001192092896,
        1.5051498413085938, 1.5051499605178833, 1.5051500797271729, 1.9999998807907104, 2.0, 2.000000238418579,
    )  # fmt: skip
    points = [f32(value) for value in (2, 3, 7, 10, 32, 100)]
    around = [neighbour for x in points for neighbour in (np.nextafter(x, f32(0)), x, np.nextafter(x, f32(np.inf)))]
    wanted = [1, 2, 3, 4, 4, 6, 8, 8, 9, 10, 11, 11, 14, 14, 15, 17, 17, 17]
    assert [bucket_of(Boundaries(values=bounds), log10_float32(x)) for x in around] == wanted
    np.testing.assert_allclose([log10_float32(x) for x in points], results, rtol=1e-6)


@pytest.mark.parametrize("x", [1e-45, 1e-40, 1.1754944e-38, 1e-5, 0.9999999, 1.0, 1.0000001, 3.4028235e38])
def test_log10_of_float32_is_near_the_logarithm_everywhere(x):
    assert float(log10_float32(f32(x))) == pytest.approx(math.log10(float(f32(x))), rel=3e-7)


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        (-math.inf, 0),
        (-1.0000001, 0),
        (-1.0, 1),
        (-0.0, 2),
        (0.0, 2),
        (f32(0.1), 3),
        (0.5, 4),
        (2.0, 5),
        (math.inf, 5),
        (math.nan, 0),
    ],
)
def test_a_value_on_a_boundary_belongs_to_the_right(value, bucket):
    boundaries = Boundaries(values=(-1.0, 0.0, float(f32(0.1)), 0.5, 1.0))
    assert bucket_of(boundaries, f32(value)) == bucket
