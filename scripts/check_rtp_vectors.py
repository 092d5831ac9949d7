"""Run the recorded results of the older engine (dialect "rtp") and print those that do not hold.

    python scripts/check_rtp_vectors.py

Ends with status 1 when one fails that is not listed as such (`tests/features/rtp_vectors.py: NOT_HELD`), or one of those holds. Each takes
a compile: some minutes in all.
"""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "features"))
from rtp_vectors import NOT_HELD, VECTORS, difference


def main() -> int:
    """Print the differences; 1 when they are not the known ones."""
    wrong = []
    for vector in VECTORS:
        problem = difference(vector)
        if problem:
            wrong.append(vector["id"])
            print(f"{vector['id']} [{vector['feature']['feature_type']}] {problem.splitlines()[-1].strip()[:140]}")
    print(f"{len(VECTORS) - len(wrong)} of {len(VECTORS)} recorded results hold")
    return 0 if set(wrong) == set(NOT_HELD) else 1


if __name__ == "__main__":
    sys.exit(main())
