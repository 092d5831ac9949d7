"""What a pattern may cost: its size written out, and which patterns can be quadratic."""

from __future__ import annotations

import pytest

from tvm_rank.host.regex_limits import MAX_TEXT, MAX_UNBOUNDED_TEXT, pattern_cost


@pytest.mark.parametrize(
    ("pattern", "size", "unbounded"),
    [
        ("abc", 3, False),
        ("[a-z]", 1, False),
        ("[]x]", 1, False),
        (r"[\]a]b", 2, False),
        ("[[:alpha:]]", 1, False),
        (r"\d\.\p{Han}\\", 4, False),
        (r"\Qa*b\E", 7, False),
        ("a*", 1, True),
        ("a+?b", 2, True),
        ("a{3}", 3, False),
        ("a{2,5}b", 6, False),
        ("a{2,}", 2, True),
        ("(ab){10}", 20, False),
        ("((ab){10}c){10}", 210, False),
        ("(?:ab|c){4}", 12, False),
        ("(?i)a(?P<n>b){2}", 3, False),
        ("(?s)^(.{0,3}).*$", 6, True),
        ("a{x}", 4, False),
        (")(", 1, False),
    ],
)
def test_a_pattern_has_the_size_of_its_repetitions_written_out(pattern, size, unbounded):
    cost = pattern_cost(pattern)
    assert (cost.size, cost.unbounded) == (size, unbounded)
    assert cost.text_limit == (MAX_UNBOUNDED_TEXT if unbounded else MAX_TEXT)
