"""Rows that a hostile client may send, in every input of every feature type, through a feature program and through Engine.rank.

    python scripts/check_hostile.py [--size BYTES] [--seconds S] [--only NAME,NAME]

Texts of BYTES (10,000,000), lists of a tenth as many values, maps of a hundredth as many entries (`fuzzing/hostile.py`). Each call must end
within S seconds, with features or with an InputError that names the feature or column. Prints the slowest call of each type; ends with
status 1 when a call takes longer or fails in another way.
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pyarrow as pa
from fuzzing import hostile

import tvm_rank
from tvm_rank.errors import InputError

Call = Callable[[dict[str, pa.Array], dict[str, pa.Array]], object]


def program_of(name: str, folder: pathlib.Path) -> Call:
    """One feature as a feature program."""
    program = tvm_rank.compile_features(hostile.configuration([name]), base_dir=folder)
    return lambda user, items: program({**user, **items})


def engine_of(name: str, folder: pathlib.Path) -> Call:
    """One feature in an artifact, before a model that gives its input back."""
    shape = hostile.shape_of(name)
    extents = ["N", *(shape if isinstance(shape, tuple) else (shape,))]
    tensors = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, extents) for n in (name, "out")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", [name], ["out"])], "identity", tensors[:1], tensors[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    table = np.ones((500, 4), np.float32)
    artifact = tvm_rank.compile(features=hostile.configuration([name]), model=model, tables={"t": table}, base_dir=folder)
    artifact.save(folder / name)
    engine = tvm_rank.load(folder / name)
    return lambda user, items: engine.rank(user=user or None, items=items)


def check(name: str, call: Call, columns: Mapping[str, pa.Array], most: float) -> tuple[str, bool]:
    """(a line about all calls of a feature, whether all ended well)."""
    slowest, refused, wrong, count = (0.0, ""), 0, [], 0
    for what, user, items in hostile.calls(name, columns):
        begun, count = time.perf_counter(), count + 1
        try:
            call(user, items)
        except InputError as error:
            refused += 1
            if name not in str(error):
                wrong.append(f"{what}: the refusal does not name the feature: {error}")
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {error}")
        slowest = max(slowest, (time.perf_counter() - begun, what))
    if slowest[0] > most:
        wrong.append(f"{slowest[1]}: {slowest[0]:.1f} s, more than {most:g}")
    line = f"{count:4} calls {refused:4} refused   slowest {slowest[0]:6.2f} s ({slowest[1]})"
    return "\n    ".join([line, *wrong]), not wrong


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000_000, help="bytes of a text")
    parser.add_argument("--seconds", type=float, default=60, help="the longest that a call may take")
    parser.add_argument("--only", default="", help=f"of {', '.join(hostile.TYPES)}")
    args = parser.parse_args()
    columns = {name: make() for name, make in hostile.rows(args.size).items()}
    good = True
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = pathlib.Path(name_of_folder)
        hostile.write_tokenizer(folder)
        for name in args.only.split(",") if args.only else hostile.TYPES:
            for way, made in (("program", program_of), ("engine", engine_of)):
                line, fine = check(name, made(name, folder), columns, args.seconds)
                good &= fine
                print(f"{name:9} {way:8} {line}", flush=True)
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
