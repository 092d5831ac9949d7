"""Compile a DLRM for Criteo's display-advertising rows, score a file of them, and compare with NumPy.

    python scripts/criteo.py [FILE] [--buckets 1000] [--out FOLDER]

FILE has a label, 13 whole numbers and 26 categories on each line: tab-separated without a header as the data set comes, or
comma-separated with one. Without FILE, generated rows are scored. The model is not trained: its weights and tables are random.
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time

import numpy as np

import tvm_rank
from tvm_rank import zoo
from tvm_rank.zoo import criteo

TOLERANCE = 1e-5


def run(file: pathlib.Path | None, folder: pathlib.Path, buckets: int) -> float:
    """Score every row through the compiled artifact; the largest difference to the NumPy scores."""
    rows = None if file is None else criteo.read_tsv(file)
    workload = zoo.build("criteo", folder, buckets=buckets, rows=rows)
    start = time.perf_counter()
    artifact = tvm_rank.compile(features=workload.features, model=workload.model, tables=workload.tables)
    artifact.save(folder / "artifact")
    print(f"compiled {len(criteo.NUMBERS)} numbers and {len(criteo.CATEGORIES)} categories in {time.perf_counter() - start:.1f} s")

    engine = tvm_rank.load(folder / "artifact")
    user, items = workload.read_user(0), workload.read_items(0)
    scores = engine.rank(user=user, items=items)["score"][:, 0]
    difference = float(np.abs(scores - zoo.oracle(workload)).max())
    shown = ", ".join(f"{score:.6f}" for score in scores[:5])
    print(f"scored {len(items)} {'generated rows' if file is None else f'rows of {file}'}: {shown}, ...")
    print(f"largest difference to NumPy: {difference:.1e} (allowed {TOLERANCE:.0e})")
    return difference


def main() -> int:
    """0 when the scores agree with NumPy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=pathlib.Path, metavar="FILE", help="rows to score (default: generated ones)")
    parser.add_argument("--buckets", type=int, default=1000, help="rows of each embedding table (default 1000)")
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="keep the files here (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tvm-rank-") as scratch:
        try:
            difference = run(args.file, args.out or pathlib.Path(scratch), args.buckets)
        except (tvm_rank.RankError, OSError) as error:
            parser.exit(2, f"criteo.py: {error}\n")
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    raise SystemExit(main())
