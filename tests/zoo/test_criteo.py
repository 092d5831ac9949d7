"""Reading Criteo's format, in its two spellings, and what is refused."""

from __future__ import annotations

import pathlib

import numpy as np
import pyarrow as pa
import pytest

from tvm_rank import zoo
from tvm_rank.errors import InputError
from tvm_rank.zoo import criteo

NAMES = ["label", *criteo.NUMBERS, *criteo.CATEGORIES]


def lines(separator: str, number: str) -> str:
    """Two rows; the second has empty cells."""
    full = ["1", *[number] * 13, *["05db9164"] * 26]
    gaps = ["0", "", "-3", *["7"] * 11, "", *["68fd1e64"] * 24, ""]
    return "".join(separator.join(row) + "\n" for row in (full, gaps))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lines("\t", "260"), id="tabs-without-header"),
        pytest.param(",".join(NAMES) + "\n" + lines(",", "260.0"), id="commas-with-header"),
        pytest.param(lines("\t", "260").replace("\n", "\r\n"), id="windows-line-ends"),
    ],
)
def test_both_spellings_read_as_the_same_table(text: str, tmp_path: pathlib.Path):
    path = tmp_path / "rows.txt"
    path.write_bytes(text.encode())
    table = criteo.read_tsv(path)
    assert table.column_names == NAMES
    assert set(table.select(["label", *criteo.NUMBERS]).schema.types) == {pa.int64()}
    assert set(table.select(criteo.CATEGORIES).schema.types) == {pa.string()}
    first, second = table.to_pylist()
    assert first["I13"] == 260
    assert first["C26"] == "05db9164"
    assert (second["I1"], second["I2"], second["C1"], second["C2"], second["C26"]) == (None, -3, None, "68fd1e64", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("1\t2\t3\n", "Expected 40 columns, got 3", id="too-few-columns"),
        pytest.param(lines("\t", "260").replace("-3", "three"), "three", id="a-word-for-a-number"),
        pytest.param(lines("\t", "260").replace("-3", "2.5"), "2.5|truncated", id="a-fraction"),
        pytest.param("", "[Ee]mpty", id="an-empty-file"),
    ],
)
def test_a_file_of_another_format_is_refused_with_the_reason(text: str, reason: str, tmp_path: pathlib.Path):
    path = tmp_path / "rows.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"rows.txt: not Criteo's format.*(?s:{reason})"):
        criteo.read_tsv(path)


def test_rows_of_a_file_become_one_request(tmp_path: pathlib.Path):
    path = tmp_path / "rows.txt"
    path.write_text(lines("\t", "260") * 3)
    workload = zoo.build("criteo", tmp_path / "model", rows=criteo.read_tsv(path))
    assert workload.read_user().num_rows == 1
    assert workload.read_items().column("request").to_pylist() == [0] * 6
    assert workload.read_items(0).column_names == [*criteo.NUMBERS, *criteo.CATEGORIES]
    scores = zoo.oracle(workload)
    assert scores.shape == (6,)
    np.testing.assert_array_equal(scores[:2], scores[2:4])
    assert scores[0] != scores[1]


def test_generated_rows_have_gaps_and_repeated_categories():
    table = criteo.generate(500, rng=np.random.default_rng(0))
    assert 0 < table.column("I1").null_count < 500
    assert any(table.column(name).null_count for name in criteo.CATEGORIES)
    for name in criteo.CATEGORIES:
        values = table.column(name).drop_null().to_pylist()
        assert all(len(value) == 8 and int(value, 16) >= 0 for value in values)
        assert len(set(values)) < len(values)
