"""Modules of tests are imported by their bare names: pytest refuses the second of a name."""

from __future__ import annotations

import collections
import pathlib


def test_no_two_test_modules_share_a_name():
    modules = [
        path for path in pathlib.Path(__file__).parent.rglob("*.py") if path.name != "conftest.py" and path.name != "__init__.py"
    ]
    counts = collections.Counter(path.name for path in modules)
    assert [name for name, count in counts.items() if count > 1] == []
