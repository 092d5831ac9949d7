"""Random configurations of every feature type over random columns, compiled, and compared with the references.

    python scripts/fuzz_types.py [--count N] [--seed S] [--only TYPE,TYPE] [--forms FORM,FORM] [--configurations K]

For each type, by itself, as a sequence and in a sequence group: rounds of K random configurations in one program, over batches of random
columns (nulls, empty values, any bytes, extreme numbers, repeated keys, malformed maps), until N values are compared with
`tvm_rank/ops/<feature type>.py`: ids, lengths and weights exactly, numbers bit by bit, those of functions of the C library to 1e-6. A batch
that a reference refuses must be refused. Prints the counts of each type; ends with status 1 on any difference, and prints its configuration.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import random
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from fuzzing.columns import shared
from fuzzing.functions import FUNCTIONS
from fuzzing.sequences import DELIMITER, GROUP, grouped_batch, sequence_batch
from fuzzing.types import CONFIGURATIONS, Columns, batch
from fuzzing.vocabularies import write_vocabularies

from tvm_rank.config.load import load_config
from tvm_rank.config.spec import FeatureConfig
from tvm_rank.errors import ConfigError, InputError
from tvm_rank.features import program_of
from tvm_rank.ops.references import reference
from tvm_rank.output import FeatureOutput

ROWS = 150  # of a batch: three blocks
BATCHES = 12  # of a round
TOLERANCE = 1e-6
PLAIN, SEQUENCE, GROUPED = "plain", "sequence", "group"
BATCH_OF: dict[str, Callable[[random.Random, int], Columns]] = {PLAIN: batch, SEQUENCE: sequence_batch, GROUPED: grouped_batch}
MAY_DIFFER = ("expr_feature", "custom_feature")  # functions of the C library, and formulas with them
PARTS = ("values", "lengths", "key_lengths", "weights", "dense")


@functools.cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """The folder of the vocabularies, which lasts as long as the process."""
    made = tempfile.TemporaryDirectory()
    write_vocabularies(pathlib.Path(made.name))
    return made


def read(features: list[dict[str, Any]], form: str, hash_function: str = "std") -> FeatureConfig:
    """The configuration of these features in a form. Raises ConfigError."""
    if form == GROUPED:
        shared = {"sequence_name": GROUP, "sequence_delim": DELIMITER.decode(), "sequence_length": features[0]["sequence_length"]}
        own = [{key: value for key, value in keys.items() if not key.startswith("sequence_")} for keys in features]
        features = [shared | {"features": own}]
    return load_config({"features": features}, hash_function=hash_function, base_dir=folder().name, udfs=FUNCTIONS)


def configurations(name: str, count: int, draw: random.Random, form: str = PLAIN) -> list[dict[str, Any]]:
    """Random features of a type in a form; a configuration that contradicts itself is drawn again."""
    found: list[dict[str, Any]] = []
    length = draw.choice([0, 2])
    while len(found) < count:
        keys = {"feature_name": f"f{len(found)}", "feature_type": name} | CONFIGURATIONS[name](draw)
        if form != PLAIN:
            keys |= {"sequence_length": length, "sequence_delim": DELIMITER.decode()}
        if form == SEQUENCE:
            keys |= {"is_sequence": True}
        try:
            read([keys], form)
        except ConfigError:
            continue
        found.append(keys)
    return found


def differences(got: FeatureOutput, wanted: FeatureOutput, tolerance: float) -> tuple[int, int]:
    """(values that were compared, values that differ)."""
    compared = wrong = 0
    for part in PARTS:
        a, b = getattr(got, part), getattr(wanted, part)
        if (a is None) != (b is None) or (a is not None and (a.dtype, a.shape) != (b.dtype, b.shape)):
            return 1, 1
        if a is None:
            continue
        same = a == b
        if a.dtype == np.float32:
            same = (a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))
            same |= np.isclose(a, b, rtol=tolerance, atol=2e-45) if tolerance else False
        compared, wrong = compared + a.size, wrong + int(np.sum(~same))
    return compared, wrong


class Round:
    """The features of one program, and what became of them."""

    def __init__(self, name: str, count: int, draw: random.Random, form: str = PLAIN):
        self.keys = configurations(name, count, draw, form)
        self.hash_function = draw.choice(["std", "farm"])
        self.config = read(self.keys, form, self.hash_function)
        self.program = program_of(self.config)
        self.tolerance = TOLERANCE if name in MAY_DIFFER else 0.0
        self.compared = self.wrong = self.refused = 0

    def run(self, columns: dict[str, pa.Array]) -> None:
        """Compare a batch."""
        wanted, refusing = {}, False
        for feature in self.config.features:
            try:
                taken = [columns[field.name] for field in feature.fields]
                wanted[feature.name] = reference(feature, taken, ROWS, self.hash_function)
            except InputError:
                refusing = True
        try:
            outputs = self.program(columns)
        except InputError as error:
            self.refused += 1
            self._note(0 if refusing else ROWS, None, error)
            return
        self._note(ROWS if refusing else 0, None, "accepted, but a reference refuses")
        for feature, keys in zip(self.config.features, self.keys, strict=True) if not refusing else ():
            name = feature.name
            compared, wrong = differences(outputs[name], wanted[name], self.tolerance)
            self.compared += compared
            self._note(wrong, keys, f"{wrong} of {compared} values differ")

    def _note(self, wrong: int, keys: dict[str, Any] | None, what: object) -> None:
        self.wrong += wrong
        if wrong:
            print(f"  {what}: {json.dumps(keys or self.keys, ensure_ascii=False)[:2000]}", flush=True)


def run_type(name: str, count: int, width: int, seed: int, form: str = PLAIN) -> int:
    """Compare `count` values of a type in a form; how many differ."""
    draw, started = random.Random(f"{name} {form} {seed}"), time.perf_counter()
    compared = wrong = refused = batches = rounds = 0
    while compared < count and batches < 50 + count // 10:
        fuzz = Round(name, width, draw, form)
        for _ in range(BATCHES):
            fuzz.run(shared(draw, BATCH_OF[form](draw, ROWS), fuzz.program.fields))
            batches += 1
            if compared + fuzz.compared >= count:
                break
        rounds, compared, wrong, refused = rounds + 1, compared + fuzz.compared, wrong + fuzz.wrong, refused + fuzz.refused
    seconds = time.perf_counter() - started
    print(
        f"{name:22} {form:8} {rounds * width:5} configurations {batches:6} batches ({refused} refused) {compared:11,} values"
        f" {wrong:7,} differences {seconds:7.1f} s",
        flush=True,
    )
    return wrong


def main() -> int:
    """Compare, print the counts; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, metavar="N", help="values of each type (default 20000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the random numbers (default 0)")
    parser.add_argument("--only", default="", metavar="TYPE,TYPE", help=f"some of {', '.join(CONFIGURATIONS)}")
    parser.add_argument("--forms", default=",".join(BATCH_OF), metavar="FORM,FORM", help="some of %(default)s")
    parser.add_argument("--configurations", type=int, default=8, metavar="K", help="features of a program (default 8)")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(CONFIGURATIONS)
    pairs = [(name, form) for name in names for form in args.forms.split(",")]
    return 1 if sum(run_type(name, args.count, args.configurations, args.seed, form) for name, form in pairs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
