"""Vocabulary files that are refused, with the line."""

from __future__ import annotations

import pathlib

import pytest

from tvm_rank.config.load import load_config
from tvm_rank.errors import ConfigError

FEATURE = {
    "feature_name": "f", "feature_type": "id_feature", "expression": "user:f", "vocab_file": "v.txt", "default_bucketize_value": 0,
}  # fmt: skip


def problem_of(base_dir: pathlib.Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config({"features": [FEATURE]}, base_dir=base_dir)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a 1\nb\n", "v.txt:2: wanted a word and its id as on the first line, got 'b'"),
        (b"a\nb 1\n", "v.txt:2: wanted a word without blanks as on the first line, got 'b 1'"),
        (b"a x\n", "v.txt:1: wanted an integer of at least 0 as id, got 'x'"),
        (b"a -1\n", "v.txt:1: wanted an integer of at least 0 as id, got '-1'"),
        (b"a 9223372036854775807\n", "v.txt:1: wanted an integer of at least 0 as id"),
        (b"\n\n", "v.txt holds no word; write one per line"),
        (b"\xff\n", "v.txt is not UTF-8 at byte 0; save it as UTF-8"),
    ],
)
def test_a_wrong_vocabulary_file_is_told_the_line(tmp_path: pathlib.Path, text: bytes, message: str):
    (tmp_path / "v.txt").write_bytes(text)
    assert problem_of(tmp_path).startswith(f"features[0].vocab_file: {message}")


def test_a_link_out_of_the_base_folder_is_refused(tmp_path: pathlib.Path):
    (tmp_path / "secret").write_text("a\n")
    base = tmp_path / "base"
    base.mkdir()
    (base / "v.txt").symlink_to(tmp_path / "secret")
    assert "leads out of" in problem_of(base)
