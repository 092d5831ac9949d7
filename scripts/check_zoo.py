"""Compile models of the zoo and compare all their outputs with ONNX Runtime: 1, 7, 64 and 1,000 items, one and three requests.

    python scripts/check_zoo.py [NAME ...]

The inputs of ONNX Runtime are computed by the references of the features. Each artifact is also checked by the samples that it carries, as
`tvm-rank check` does. Ends with status 1 when a score differs by more than 1e-5.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time

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
    failed = 0
    for name in parser.parse_args().names or zoo.MODELS:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            rng, largest = np.random.default_rng(0), 0.0
            try:
                model = compiled(name, pathlib.Path(folder), requests=REQUESTS, items=max(BATCHES))
                seconds = time.perf_counter() - started
                for rows in BATCHES:
                    largest = max(largest, check(model, np.arange(rows) + max(BATCHES), requests=1))
                    largest = max(largest, check(model, rng.permutation(REQUESTS * max(BATCHES))[:rows], requests=REQUESTS))
                print(f"{name:12s} largest difference {largest:.1e} ({seconds:.0f} s to build, compile and load)", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"{name:12s} FAILED {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
