"""manifest.json: what an artifact is, needs and holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import tvm_rank
from tvm_rank.errors import ArtifactError
from tvm_rank.runtime.columns import FieldUse

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class OutputEntry:
    """An output of the model: its ONNX name, its shape with "N" for the batch, its dtype."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class StackEntry:
    """Tables of one dim in one file of little-endian float32 (rows, dim); `tables` maps a table to its first row."""

    file: str
    rows: int
    dim: int
    tables: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file of the artifact: bytes and checksum (`artifact/checksum.py`)."""

    bytes: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest. `refusals`: for each feature kernel, (feature, rule) of each element of its status."""

    schema: int
    version: str
    tvm_version: str
    target: str
    tvm_target: str
    machine: str
    needs: tuple[str, ...]
    hash_function: str
    request_fields: tuple[FieldUse, ...]
    item_fields: tuple[FieldUse, ...]
    outputs: tuple[OutputEntry, ...]
    refusals: tuple[tuple[tuple[str, str], ...], ...]
    stacks: tuple[StackEntry, ...]
    features: tuple[str, ...]
    unused_features: tuple[str, ...]
    kernels: tuple[Mapping[str, Any], ...]
    groups: tuple[Mapping[str, Any], ...]
    compile_seconds: float
    files: Mapping[str, FileEntry]

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Read manifest.json. Raises ArtifactError when it is damaged or of another schema."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ArtifactError(f"{where}: manifest.json is damaged ({error}); compile the artifact again") from error
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise ArtifactError(f"{where}: schema {schema!r}, this build reads schema {SCHEMA}; compile the artifact again with `tvm-rank compile`")
        try:
            return cls(**_typed(data))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"{where}: manifest.json is damaged ({error!r}); compile the artifact again") from error


def _typed(data: dict[str, Any]) -> dict[str, Any]:
    return data | {
        "needs": tuple(data["needs"]),
        "request_fields": tuple(FieldUse(**f) for f in data["request_fields"]),
        "item_fields": tuple(FieldUse(**f) for f in data["item_fields"]),
        "outputs": tuple(OutputEntry(name=o["name"], shape=tuple(o["shape"]), dtype=o["dtype"]) for o in data["outputs"]),
        "refusals": tuple(tuple((str(f), str(r)) for f, r in group) for group in data["refusals"]),
        "stacks": tuple(StackEntry(**s) for s in data["stacks"]),
        "features": tuple(data["features"]),
        "unused_features": tuple(data["unused_features"]),
        "kernels": tuple(data["kernels"]),
        "groups": tuple(data["groups"]),
        "files": {name: FileEntry(**entry) for name, entry in data["files"].items()},
    }


def this_build() -> dict[str, Any]:
    """The manifest's entries about the software that compiled it."""
    return {"schema": SCHEMA, "version": tvm_rank.__version__, "tvm_version": metadata.version("apache-tvm")}
