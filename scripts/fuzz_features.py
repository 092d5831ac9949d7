"""Random texts and numbers through compiled features, compared with plain computations and with the references.

    python scripts/fuzz_features.py [--count N] [--seed S]

N texts of 0 to 300 bytes (any bytes: NUL, separators, what is no UTF-8) and N numbers of each kind (int64 over the whole range,
doubles of random bits, decimal texts, integer texts) go through ids (both hashes, integers, a vocabulary), combinations, and parsed,
bucketized numbers. Every row is compared with a quick plain computation (std hash in NumPy, farm by the library `farmhash`), the first
rows of every batch with `tvm_rank/ops/<feature type>.py`. Prints what was compared; ends with status 1 on any difference.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import farmhash
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.config.load import load_config
from tvm_rank.config.number import parse_float, parse_int64
from tvm_rank.features import program_of
from tvm_rank.ops import combo_feature, id_feature, raw_feature
from tvm_rank.ops.normalize import to_float32
from tvm_rank.output import FeatureOutput

BATCH = 10_000  # rows of a batch
SAMPLE = 60  # first rows of a batch that also go through the references
LONGEST = 300
SIZE = 2**63 - 1  # buckets of hashed ids: nearly the whole hash is compared
BUCKETS = 2**62  # of integer ids
BOUNDARIES = [-1e30, -5.5, -1, -0.1, 0, 1e-40, 0.1, 0.5, 1, 7, 1e6, 1e20, 3e38]
SEPARATOR = "|"
WORDS = ["a", "b", "ab", "7", "-3", "价格", "é", "🙂", "\0", "a\0b", "w" * 100, " "]
REFERENCES = {"id_feature": id_feature.reference, "combo_feature": combo_feature.reference, "raw_feature": raw_feature.reference}

_M, _SEED = np.uint64(0xC6A4A7935BD1E995), np.uint64(0xC70F6907)


def _id(column: str, **keys: Any) -> dict[str, Any]:
    return {"feature_type": "id_feature", "expression": f"item:{column}", "separator": SEPARATOR, **keys}


def _raw(column: str, **keys: Any) -> dict[str, Any]:
    return {"feature_type": "raw_feature", "expression": f"item:{column}", **keys}


HASHED: dict[str, dict[str, Any]] = {
    "hash of texts": _id("texts", hash_bucket_size=SIZE),
    "hash of tokens": _id("lines", hash_bucket_size=SIZE),
    "hash of int64": _id("ints", hash_bucket_size=SIZE),
    "hash of double": _id("doubles", hash_bucket_size=SIZE),
    "combination": {
        "feature_type": "combo_feature",
        "expression": ["item:lines", "item:ints"],
        "separator": SEPARATOR,
        "hash_bucket_size": SIZE,
    },
}
OTHERS: dict[str, dict[str, Any]] = {
    "vocabulary": _id("lines", vocab_list=WORDS, default_bucketize_value=len(WORDS)),
    "num_buckets of int64": _id("ints", num_buckets=BUCKETS),
    "num_buckets of text": _id("integers", num_buckets=BUCKETS),
    "number of text": _raw("decimals"),
    "bucket of text": _raw("decimals", boundaries=BOUNDARIES, default_value=""),
    "number of int64": _raw("ints"),
    "number of double": _raw("doubles"),
    "bucket of double": _raw("doubles", boundaries=BOUNDARIES),
}


# ---------------------------------------------------------------- what goes in


def text_array(texts: Sequence[bytes]) -> pa.Array:
    """A string column of any bytes."""
    offsets = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))])


def random_text(draw: random.Random) -> bytes:
    """Random bytes, or words and separators, which random bytes rarely hold."""
    length = draw.randint(0, LONGEST)
    kind = draw.randrange(4)
    if kind < 2:
        return draw.randbytes(length)
    if kind == 2:
        return draw.randbytes(min(length, 20))
    parts = [draw.choice([*WORDS, "|", "\x1d", "||", "x"]).encode() for _ in range(draw.randint(1, 8))]
    return b"|".join(parts)[:LONGEST]


def random_decimal(draw: random.Random) -> bytes:
    """A number in some spelling, sometimes with a byte changed or added; without separators."""
    number = float(np.frombuffer(draw.randbytes(8), np.float64)[0])
    small = draw.choice([draw.uniform(-10, 10), draw.gauss(0, 1e4), draw.randrange(-1000, 1000)])
    digits = str(draw.getrandbits(draw.randint(1, 900)))
    power = f"{draw.getrandbits(80)}e{draw.randint(-60, 40)}"
    spellings = (repr(number), repr(float(np.float32(small))), f"{small:.{draw.randrange(20)}e}", f"{small:.30f}", digits, power)
    text = bytearray(draw.choice(spellings).encode())
    if draw.random() < 0.1 and text:
        text[draw.randrange(len(text))] = draw.choice(b"+-.eE0 xin")
    return bytes(text)


def random_integer(draw: random.Random) -> bytes:
    """An integer in decimal: signs, leading zeros, some beyond int64."""
    digits = str(draw.getrandbits(draw.choice([1, 8, 31, 62, 63, 64, 65, 200])))
    return (draw.choice(["", "", "+", "-"]) + "0" * draw.choice([0, 0, 1, 9, 30]) + digits).encode()


def batch(rows: int, draw: random.Random) -> tuple[dict[str, pa.Array], dict[str, Any]]:
    """(columns, what they hold as Python and NumPy values)."""
    texts = [random_text(draw) for _ in range(rows)]
    bits = np.frombuffer(draw.randbytes(8 * rows), np.int64)
    ints = bits >> np.frombuffer(draw.randbytes(rows), np.uint8) % 64  # numbers of all lengths
    doubles = np.frombuffer(draw.randbytes(8 * rows), np.float64)
    decimals = [random_decimal(draw) for _ in range(rows)]
    integers = [random_integer(draw) for _ in range(rows)]
    lines = text_array(texts)
    columns = {
        "texts": pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32), lines),
        "lines": lines,
        "ints": pa.array(ints),
        "doubles": pa.array(doubles),
        "decimals": text_array(decimals),
        "integers": text_array(integers),
    }
    return columns, {"texts": texts, "ints": ints, "doubles": doubles, "decimals": decimals, "integers": integers}


# ---------------------------------------------------------------- what must come out

Rows = list[list[bytes]]


def std_hashes(texts: Sequence[bytes]) -> np.ndarray:
    """`ops.hashes.hash_std` of many texts at once, in uint64 arithmetic that wraps."""
    lengths = np.array([len(text) for text in texts], np.uint64)
    width = int(lengths.max(initial=0)) // 8 + 1
    words = np.frombuffer(b"".join(text.ljust(8 * width, b"\0") for text in texts), "<u8").reshape(len(texts), width)
    whole, shift = lengths // np.uint64(8), np.uint64(47)
    h = _SEED ^ (lengths * _M)
    for k in range(width):
        mixed = words[:, k] * _M
        mixed = (mixed ^ (mixed >> shift)) * _M
        h = np.where(whole > k, (h ^ mixed) * _M, np.where((whole == k) & (lengths % np.uint64(8) > 0), (h ^ words[:, k]) * _M, h))
    h = (h ^ (h >> shift)) * _M
    return h ^ (h >> shift)


def farm_hashes(texts: Sequence[bytes]) -> np.ndarray:
    """FarmHash's Fingerprint64 by the original library."""
    return np.array([farmhash.fingerprint64(text) for text in texts], np.uint64)


def token_rows(texts: Sequence[bytes]) -> Rows:
    """The tokens of each text."""
    return [[part for part in text.replace(SEPARATOR.encode(), b"\x1d").split(b"\x1d") if part] for text in texts]


def rows_of_texts(given: dict[str, Any], name: str) -> Rows:
    """The texts that are hashed, for each row."""
    if name == "hash of texts":
        return [[text] if text else [] for text in given["texts"]]
    if name == "hash of tokens":
        return token_rows(given["texts"])
    numbers = [str(number).encode() for number in given["ints"].tolist()]
    if name == "combination":
        return [[token + b"_" + number for token in row] for row, number in zip(token_rows(given["texts"]), numbers, strict=True)]
    if name == "hash of double":
        return [[text.encode()] for text in pc.cast(pa.array(given["doubles"]), pa.string()).to_pylist()]
    return [[number] for number in numbers]


def ragged(rows: Sequence[Sequence[Any]], ids: Callable[[list], Any]) -> FeatureOutput:
    """The output whose row r has the ids of the values in rows[r]."""
    flat = list(itertools.chain.from_iterable(rows))
    return FeatureOutput(values=np.asarray(ids(flat)).astype(np.int64), lengths=np.array([len(row) for row in rows], np.int32))


def buckets(numbers: Sequence[Any]) -> list[int]:
    """The bucket of each float32."""
    limits = np.array(BOUNDARIES, np.float32).tolist()
    return [0 if number != number else bisect.bisect_right(limits, float(number)) for number in numbers]


def number_of(text: bytes) -> float:
    """The double of a text, 0.0 when it is no number; -0.0 keeps its sign."""
    number = parse_float(text)
    return 0.0 if number is None else number


def wanted(name: str, given: dict[str, Any], hashes: Callable[[Sequence[bytes]], np.ndarray]) -> FeatureOutput:
    """What a feature must give for a batch."""
    if name in HASHED:
        return ragged(rows_of_texts(given, name), lambda texts: hashes(texts) % np.uint64(SIZE))
    if name == "vocabulary":
        places = {word.encode(): place for place, word in enumerate(WORDS)}
        return ragged(token_rows(given["texts"]), lambda texts: [places.get(text, len(WORDS)) for text in texts])
    if name.startswith("num_buckets"):
        integers = given["ints"].tolist() if name.endswith("int64") else [parse_int64(text) or 0 for text in given["integers"]]
        return ragged([[number if 0 <= number < BUCKETS else 0] for number in integers], list)
    if name.endswith("text"):
        numbers = [[to_float32(number_of(text))] if text else [] for text in given["decimals"]]
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = given["ints" if name.endswith("int64") else "doubles"].astype(np.float32)[:, None]
    if name.startswith("bucket"):
        return ragged(list(numbers), buckets)
    return FeatureOutput(dense=np.array([row if len(row) else [0.0] for row in numbers], np.float32))


# ---------------------------------------------------------------- comparison


def differences(got: FeatureOutput, right: FeatureOutput) -> int:
    """How many values or rows differ; floats bit by bit, any NaN equals any other."""
    if right.dense is not None:
        a, b = got.dense, right.dense
        return (
            int(a.size)
            if a.shape != b.shape
            else int(np.sum((a.view(np.int32) != b.view(np.int32)) & ~(np.isnan(a) & np.isnan(b))))
        )
    if not np.array_equal(got.lengths, right.lengths):
        return int(np.sum(got.lengths != right.lengths))
    return int(np.sum(got.values != right.values))


def first_rows(out: FeatureOutput, rows: int) -> FeatureOutput:
    """The first rows of an output."""
    if out.dense is not None:
        return FeatureOutput(dense=out.dense[:rows])
    return FeatureOutput(values=out.values[: out.lengths[:rows].sum()], lengths=out.lengths[:rows])


class Fuzz:
    """One program, and the counts of its features."""

    def __init__(self, features: dict[str, dict[str, Any]], hash_function: str):
        self.config = load_config(
            {"features": [{"feature_name": n, **k} for n, k in features.items()]}, hash_function=hash_function
        )
        self.types = {name: str(keys["feature_type"]) for name, keys in features.items()}
        self.hashes = {"std": std_hashes, "farm": farm_hashes}[hash_function]
        self.program = program_of(self.config)
        self.compared = dict.fromkeys(features, 0)
        self.wrong = dict.fromkeys(features, 0)

    def run(self, columns: dict[str, pa.Array], given: dict[str, Any]) -> None:
        """Compare a batch."""
        outputs = self.program(columns)
        for feature in self.config.features:
            name, got = feature.name, outputs[feature.name]
            self.wrong[name] += differences(got, wanted(name, given, self.hashes))
            self.compared[name] += int(got.dense.size if got.values is None else got.values.size)
            sample = [columns[field.name][:SAMPLE] for field in feature.fields]
            rows = len(sample[0])
            reference = REFERENCES[self.types[name]](feature, sample, rows, self.config.hash_function)
            self.wrong[name] += differences(first_rows(got, rows), reference)


def main() -> int:
    """Compare, print the counts; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, metavar="N", help="texts, and numbers of each kind (default 100000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the random numbers (default 0)")
    args = parser.parse_args()
    started = time.perf_counter()
    programs = {"std": Fuzz(HASHED | OTHERS, "std"), "farm": Fuzz(HASHED, "farm")}
    print(f"compiled in {time.perf_counter() - started:.1f} s", flush=True)
    draw, done = random.Random(args.seed), 0
    while done < args.count:
        rows = min(BATCH, args.count - done)
        columns, given = batch(rows, draw)
        for fuzz in programs.values():
            fuzz.run(columns, given)
        done += rows
        wrong = sum(sum(fuzz.wrong.values()) for fuzz in programs.values())
        print(f"{done:9,} texts and numbers of each kind, {wrong} differences, {time.perf_counter() - started:.1f} s", flush=True)
    for function, fuzz in programs.items():
        for name, compared in fuzz.compared.items():
            print(f"{function:5} {name:22} {compared:11,} values {fuzz.wrong[name]:9,} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
