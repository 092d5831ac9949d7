"""A kernel to tune without a compiler: its times are a formula, so tests of the loop take no time."""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
