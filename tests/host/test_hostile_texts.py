"""Library features under hostile texts, patterns and columns: a clear refusal, or bounded time."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from cases.tokenize_feature import write_models

from tvm_rank.config.load import load_config
from tvm_rank.errors import InputError
from tvm_rank.host.plan import plan_host
from tvm_rank.host.stage import HostFunctions

SECONDS = 20  # generous: the machine may be busy


def stage_of(base_dir=".", **keys) -> HostFunctions:
    """The stage of one feature over item:text."""
    fg = {"features": [{"feature_name": "f", "expression": "item:text", "hash_bucket_size": 10, **keys}]}
    plan = plan_host(load_config(fg, base_dir=base_dir))
    return HostFunctions.open(plan.stages, plan.files)


def run(functions: HostFunctions, column: pa.Array) -> pa.Array:
    (made,) = functions.run(lambda _name: column, "column").values()
    return made


def regex(pattern: str, **keys) -> HostFunctions:
    return stage_of(feature_type="regex_replace_feature", regex_pattern=pattern, replacement="", **keys)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(a?){500}a{500}", "(.*)(.*)(.*)(.*)[^a]$"])
def test_patterns_that_blow_up_elsewhere_end_soon(pattern):
    began = time.perf_counter()
    run(regex(pattern), pa.array(["a" * 20_000 + "b", "a" * 5000]))
    assert time.perf_counter() - began < SECONDS


def test_a_long_text_under_an_unbounded_pattern_is_refused_and_under_a_bounded_one_is_not():
    long = pa.array(["ab" * 40_000])
    with pytest.raises(InputError, match=r"feature 'f': a text of 80000 bytes; .* takes texts of at most 65536 bytes; shorten it"):
        run(regex("a+"), long)
    assert run(regex("a+", replace_all=False), long)[0].as_py() == ["b" + "ab" * 39_999]
    assert run(regex("a"), long)[0].as_py() == ["b" * 40_000]
    with pytest.raises(InputError, match="a text of 10000000 bytes"):
        run(regex("a"), pa.array(["a" * 10_000_000]))


def test_a_text_of_10_mb_is_normalized(tmp_path):
    del tmp_path
    began = time.perf_counter()
    made = run(stage_of(feature_type="text_normalizer"), pa.array(["Ａb，" * 1_500_000]))
    assert made[0].as_py() == "ab " * 1_500_000
    assert time.perf_counter() - began < SECONDS


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_a_text_too_long_for_a_tokenizer_is_refused(tmp_path, kind):
    file = {"bpe": "tokenizer.json", "sentencepiece": "spiece.model"}[kind]
    functions = stage_of(write_models(tmp_path), feature_type="tokenize_feature", tokenizer_type=kind, vocab_file=file)
    with pytest.raises(InputError, match="a text of 1048577 bytes; tokenize_feature takes texts of at most 1048576 bytes"):
        run(functions, pa.array(["a" * (1024 * 1024 + 1)]))
    assert len(run(functions, pa.array(["red " * 20_000]))[0]) >= 20_000


def test_a_million_list_values_are_replaced():
    column = pa.ListArray.from_arrays(pa.array([0, 1_000_000], pa.int32()), pa.array([f"a{k % 5000}" for k in range(1_000_000)]))
    made = run(regex("a", value_dim=0), column)
    assert len(made) == 1
    assert made.values[4999].as_py() == "4999"


def test_columns_of_other_types_and_damaged_ones_are_refused():
    functions = regex("a")
    for wrong in (pa.array([True]), pa.array([[["a"]]]), pa.array([{"a": 1}]), pa.array(["a"], pa.large_string())):
        with pytest.raises(InputError, match=r"column 'text' \(read by regex_replace_feature 'f'\): unsupported type"):
            run(functions, wrong)
    bytes_of = pa.py_buffer(b"abc")
    texts = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\xff\xff\0\0\3\0\0\0"), bytes_of)
    offsets = pa.py_buffer(b"\0\0\0\0\xff\xff\0\0\1\0\0\0")
    lists = pa.ListArray.from_buffers(pa.list_(pa.string()), 2, [None, offsets], children=[pa.array(["a"])])
    for damaged in (texts, lists):
        with pytest.raises(InputError, match="the Arrow data is damaged"):
            run(functions, damaged)
