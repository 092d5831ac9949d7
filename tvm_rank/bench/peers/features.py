"""The features of a baseline: what a service written in Python would do with Arrow columns, NumPy and pyfarmhash.

It knows the features of rank-bench and refuses all others; then a baseline is measured from the inputs of its model on. Request fields are
hashed once for all items, texts that two features read are hashed once.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tvm_rank.bench.peers.serve import Refused

try:
    import farmhash
except ImportError:  # then a baseline is measured from the inputs of its model on
    farmhash = None

LOG = re.compile(r"method=expression,expr=\(ln\(1\+\(x>0\?x:0\)\)-(-?[\d.]+)\)/([\d.]+)")
EMBEDDED = {"feature_name", "feature_type", "expression", "value_type", "embedding_dim", "embedding_name", "combiner", "group"}
CROSS_SEPARATOR = "_"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A feature that baselines know. kind: hash, number_id, cross, bucket, number, overlap · request: the same for all items of a
    request · input: of the dense model · length: of a sequence, 0 for pooled ids."""

    name: str
    kind: str
    request: bool
    fields: tuple[str, ...]
    input: str
    table: str = ""
    dim: int = 1
    rows: int = 0
    boundaries: tuple[float, ...] = ()
    shift: float = 0.0
    scale: float = 1.0
    length: int = 0


def read_parts(path: pathlib.Path) -> list[Part]:
    """The features of fg.json. Raises Refused with the first that baselines do not know."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("hash_function") != "farm":
        raise Refused("from raw fields it knows FarmHash only")
    found = []
    for entry in config["features"]:
        if "features" in entry:
            found += [_element(entry, part) for part in entry["features"]]
        else:
            found.append(_part(entry))
    return found


def hashed_parts(path: pathlib.Path) -> list[Part]:
    """The same for a baseline that has no hash of its own. Raises Refused without pyfarmhash."""
    if farmhash is None:
        raise Refused("from raw fields it needs pyfarmhash; pip install pyfarmhash")
    return read_parts(path)


def _element(group: Mapping[str, Any], entry: Mapping[str, Any]) -> Part:
    part = _part(entry)
    fields = tuple(f"{group['sequence_name']}__{field}" for field in part.fields)
    return Part(**{**vars(part), "fields": fields, "length": group["sequence_length"], "input": group["group"]})


def _part(entry: Mapping[str, Any]) -> Part:
    kind, name = entry["feature_type"], entry["feature_name"]
    expressions = [entry["expression"]] if isinstance(entry.get("expression"), str) else entry.get("expression", [])
    if kind == "overlap_feature":
        expressions = [entry["query"], entry["title"]]
    fields = tuple(expression.split(":", 1)[1] for expression in expressions)
    request = all(not expression.startswith("item:") for expression in expressions)
    common = {"name": name, "request": request, "fields": fields, "input": entry.get("group", name)}
    if "embedding_name" in entry:
        common |= {"table": entry["embedding_name"], "dim": entry["embedding_dim"]}
    keys = entry.keys() - EMBEDDED
    mean = entry.get("combiner", "mean") == "mean"
    if kind in ("id_feature", "combo_feature") and keys == {"hash_bucket_size"} and entry["value_type"] == "string" and mean:
        return Part(**common, kind="hash" if kind == "id_feature" else "cross", rows=entry["hash_bucket_size"])
    if kind == "id_feature" and keys == {"num_buckets"} and mean:
        return Part(**common, kind="number_id", rows=entry["num_buckets"])
    if kind == "raw_feature" and keys == {"boundaries"} and mean:
        return Part(**common, kind="bucket", boundaries=tuple(entry["boundaries"]))
    if kind == "raw_feature" and keys == {"normalizer"} and (found := LOG.fullmatch(entry["normalizer"])):
        return Part(**common, kind="number", shift=float(found.group(1)), scale=float(found.group(2)))
    if kind == "overlap_feature" and entry["method"] == "query_common_ratio":
        return Part(**common, kind="overlap")
    raise Refused(f"from raw fields it knows the features of rank-bench only, not {name!r}")


@dataclass(frozen=True)
class Ids:
    """ids int64 of all rows, and how many each row has; None for one each."""

    ids: np.ndarray
    lengths: np.ndarray | None


Value = Ids | np.ndarray  # numbers float32 (rows, 1)


def values_of(parts: Sequence[Part], user: pa.Table, items: pa.Table) -> list[Value]:
    """Ids or numbers of every part: of one row if it is the request's, else of each item."""
    return _Values(user, items, farmhash.fingerprint64).of(parts)


class _Values:
    def __init__(self, user: pa.Table, items: pa.Table, fingerprint: Callable[[str], int]):
        self.user, self.items, self.fingerprint = user, items, fingerprint
        self._hashes: dict[str, np.ndarray] = {}

    def of(self, parts: Sequence[Part]) -> list[Value]:
        return [getattr(self, f"_{part.kind}")(part) for part in parts]

    def _column(self, name: str) -> pa.Array:
        table = self.user if name in self.user.column_names else self.items
        return table.column(name).chunk(0)

    def _all(self, texts: Sequence[str]) -> np.ndarray:
        return np.fromiter(map(self.fingerprint, texts), np.uint64, len(texts))

    def _fingerprints(self, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """(hash of each text, texts of each row)."""
        column = self._column(name)
        lists = pa.types.is_list(column.type)
        if name not in self._hashes:
            self._hashes[name] = self._all((column.flatten() if lists else column).to_pylist())
        return self._hashes[name], np.diff(column.offsets.to_numpy()) if lists else None

    def _hash(self, part: Part) -> Ids:
        hashes, lengths = self._fingerprints(part.fields[0])
        return Ids((hashes % np.uint64(part.rows)).astype(np.int64), lengths)

    def _cross(self, part: Part) -> Ids:
        first = self._column(part.fields[0])[0].as_py() + CROSS_SEPARATOR
        hashes = self._all([first + text for text in self._column(part.fields[1]).to_pylist()])
        return Ids((hashes % np.uint64(part.rows)).astype(np.int64), None)

    def _number_id(self, part: Part) -> Ids:
        return Ids(self._column(part.fields[0]).to_numpy().astype(np.int64), None)

    def _bucket(self, part: Part) -> Ids:
        numbers = self._column(part.fields[0]).to_numpy()
        return Ids(np.searchsorted(np.array(part.boundaries, np.float32), numbers, side="right"), None)

    def _number(self, part: Part) -> np.ndarray:
        numbers = self._column(part.fields[0]).to_numpy()
        return ((np.log1p(np.maximum(numbers, 0)) - np.float32(part.shift)) / np.float32(part.scale))[:, None].astype(np.float32)

    def _overlap(self, part: Part) -> np.ndarray:
        query, _ = self._fingerprints(part.fields[0])
        title, lengths = self._fingerprints(part.fields[1])
        assert lengths is not None, "titles are lists"
        found = np.zeros(len(lengths), np.float32)
        for word in query:
            hits = np.concatenate([[0], np.cumsum(title == word)])
            ends = np.cumsum(lengths)
            found += hits[ends] > hits[ends - lengths]
        return (found / np.float32(len(query)))[:, None]


def pooled(table: np.ndarray, found: Ids) -> np.ndarray:
    """The mean embedding of each row, float32 (rows, dim); zeros for none."""
    rows = table.take(found.ids, axis=0)
    if found.lengths is None:
        return rows
    out = np.zeros((len(found.lengths), table.shape[1]), np.float32)
    some = found.lengths > 0
    starts = (np.cumsum(found.lengths) - found.lengths)[some]
    if len(starts):
        out[some] = np.add.reduceat(rows, starts, axis=0) / found.lengths[some, None].astype(np.float32)
    return out


def inputs_of(parts: Sequence[Part], tables: Mapping[str, np.ndarray], user: pa.Table, items: pa.Table) -> dict[str, np.ndarray]:
    """What the dense model reads: {input: float32 (items, width) or (items, length, width)}, parts of an input side by side."""
    of_input: dict[str, list[np.ndarray]] = {}
    for part, value in zip(parts, values_of(parts, user, items), strict=True):
        if isinstance(value, np.ndarray):
            made = value
        elif part.length:
            made = np.zeros((1, part.length, part.dim), np.float32)
            count = min(part.length, len(value.ids))
            made[0, :count] = tables[part.table].take(value.ids[:count], axis=0)
        else:
            made = pooled(tables[part.table], value)
        of_input.setdefault(part.input, []).append(made)
    found = {}
    for name, values in of_input.items():
        out = np.empty((items.num_rows, *values[0].shape[1:-1], sum(value.shape[-1] for value in values)), np.float32)
        at = 0
        for value in values:
            out[..., at : at + value.shape[-1]] = value  # one row of the request becomes a row for each item
            at += value.shape[-1]
        found[name] = out
    return found
