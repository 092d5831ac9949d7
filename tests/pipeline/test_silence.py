"""Nothing is printed by the library: neither by Python nor by TVM's C++ code, on standard output or standard error."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = """
from two_columns import TABLE, bucket, config, number, product, DIM
import tvm_rank

features = config(bucket("shop", "user:shop"), number("price", "item:price"))
artifact = tvm_rank.compile(features=features, model=product(["shop", "price"], [DIM, 1]), tables={"shop": TABLE})
artifact.save("artifact")
engine = tvm_rank.load("artifact")
engine.rank(user={"shop": [1, 2]}, items={"price": [0.5, 1.5, 2.5]}, item_request=[0, 1, 0])
tvm_rank.compile_features(features)({"shop": [3], "price": [1.0]})
open("done", "w").close()
"""


def test_compile_save_load_and_rank_print_nothing(tmp_path: pathlib.Path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "done").exists()
