"""Tables of plain text."""

from __future__ import annotations

import pytest

from tvm_rank.cli.text_table import size_text, text_table, width


def test_numbers_go_to_the_right_and_text_to_the_left():
    table = text_table(["name", "rows", "score"], [["a", 12345, 0.5], ["longer", 7, 0.25]])
    assert table.splitlines() == [
        "  name      rows     score",
        "  a       12,345  0.500000",
        "  longer       7  0.250000",
    ]


def test_wide_characters_take_two_columns():
    lines = text_table(["city", "n"], [["東京", 1], ["Oslo", 2]]).splitlines()
    assert [width(line) for line in lines] == [9, 9, 9]


def test_control_characters_and_long_texts_are_tamed():
    (_, line) = text_table(["x"], [["a\x1b[31m\nb" + "y" * 100]]).splitlines()
    assert line == "  a [31m b" + "y" * 52 + "…"


def test_a_table_without_rows_is_its_header():
    assert text_table(["a", "b"], []) == "  a  b"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (372_608, "372.6 kB"), (10**6, "1.0 MB"), (2 * 10**9, "2.0 GB")],
)
def test_sizes_are_short(count: int, text: str):
    assert size_text(count) == text
