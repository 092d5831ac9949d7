"""Compile models of the zoo and compare all their outputs with ONNX Runtime: 1, 7, 64 and 1,000 items, one and three requests.

    python scripts/check_zoo.py [NAME ...] [--out table.md]

The inputs of ONNX Runtime are computed by the references of the features. Each artifact is also checked by the samples that it carries, as
`tvm-rank check` does. Prints the largest difference for each model, number of items and number of requests as a table in Markdown. Ends with
status 1 when a score differs by more than 1e-5.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "zoo")]

from zoo_models import check, compiled  # noqa: E402

from tvm_rank import zoo  # noqa: E402

BATCHES, REQUESTS = (1, 7, 64, 1000), 3


def main() -> int:
    """Check and print, model by model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models (default: all)")
    parser.add_argument("--out", type=pathlib.Path, help="file for the table as well")
    options = parser.parse_args()
    failed, lines = 0, [f"| model | {' | '.join(f'N = {n}, R = {r}' for r in (1, REQUESTS) for n in BATCHES)} |", "|---" * 9 + "|"]
    print(*lines, sep="\n", flush=True)
    for name in options.names or zoo.MODELS:
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.default_rng(0)
            try:
                model = compiled(name, pathlib.Path(folder), requests=REQUESTS, items=max(BATCHES))
                one = [check(model, np.arange(rows) + max(BATCHES), requests=1) for rows in BATCHES]
                more = [check(model, rng.permutation(REQUESTS * max(BATCHES))[:rows], requests=REQUESTS) for rows in BATCHES]
                lines.append(f"| `{name}` | {' | '.join(f'{difference:.1e}' for difference in (*one, *more))} |")
            except AssertionError as error:
                failed += 1
                lines.append(f"| `{name}` | FAILED: {' '.join(str(error).split())} |")
            print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
