"""manifest.json: what an artifact is, needs and holds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import tvm_rank
from tvm_rank.artifact.samples import SamplesEntry
from tvm_rank.artifact.typed_json import decode
from tvm_rank.errors import ArtifactError
from tvm_rank.host.link import ConstantEntry, LinkEntry, ProgramEntry
from tvm_rank.host.stage import ITEM, OPERATIONS, REQUEST, HostStage
from tvm_rank.ops.table_rows import PRECISIONS, row_bytes
from tvm_rank.runtime.columns import NUMBER, ROLES, WEIGHTED, FieldUse

SCHEMA = 6
SEAL = "checksum"
SIDES = ("user", "context", "item")
COLUMNS, ROWS = "columns", "rows"
KEY_TYPES, LAYOUTS = ("string", "int64"), (COLUMNS, ROWS)
MATERIALIZED = ("none", "ids", "embeddings", "dense")
KEPT_PREFIX = "kept_"  # of the names of the kernels that compute what a store keeps of features
DTYPES = ("float32", "float64", "float16", "int64", "int32", "bool")


@dataclass(frozen=True, kw_only=True)
class OutputEntry:
    """An output of the model: its ONNX name, its shape with "N" for the batch, its dtype."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """A table in a stack: its first row and its rows; what its precision brings, as the largest absolute difference, and as the root mean
    square of all differences in parts of that of its numbers."""

    first_row: int
    rows: int
    largest_error: float
    relative_error: float


@dataclass(frozen=True, kw_only=True)
class StackEntry:
    """Tables of one dim and precision in one file: little-endian float32 (rows, dim), or, behind other precisions than fp32, uint8 (rows,
    row_bytes) and PAD_BYTES more (`tvm_rank/ops/table_rows.py`)."""

    file: str
    rows: int
    dim: int
    precision: str
    row_bytes: int
    tables: Mapping[str, TableEntry]


@dataclass(frozen=True, kw_only=True)
class ValueEntry:
    """A value that is computed ahead for each item: a file of little-endian numbers, `shape` of them for each row of the store."""

    file: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True)
class RecordEntry:
    """A field of a store of rows: its column, the byte in a record where it lies, its Arrow type (`tvm_rank/items/records.py`)."""

    name: str
    place: int
    type: str


@dataclass(frozen=True, kw_only=True)
class KeptFeature:
    """A feature whose values are a column of the store: ids in [0, `id_space`), or `width` numbers (`width` is 0 for ids)."""

    name: str
    id_space: int
    weighted: bool
    is_sequence: bool
    width: int

    @property
    def column(self) -> str:
        """The name of the column."""
        return f"{'numbers' if self.width else 'ids'} of feature {self.name}"

    @property
    def use(self) -> FieldUse:
        """The column as kernels read it."""
        return FieldUse(side="item", name=self.column, role=WEIGHTED if self.weighted else NUMBER, elements=self.is_sequence)


@dataclass(frozen=True, kw_only=True)
class KeptEntry:
    """The features whose values are columns of the store, in the order of the last item fields, and the kernels that compute them from the
    fields before: constants and refusals by their names without KEPT_PREFIX, the rows of their blocks."""

    features: tuple[KeptFeature, ...]
    constants: Mapping[str, ConstantEntry]
    refusals: Mapping[str, tuple[tuple[str, str], ...]]
    block_rows: int


@dataclass(frozen=True, kw_only=True)
class StoreEntry:
    """The item store: `rows` items under the column `key` (`key_type` string or int64), and for each item field the column of the Arrow file
    that it is read from ("" for request fields, and for those that only what is computed ahead is made of). `layout`: columns, or rows
    (all fields of an item side by side: `records` says where). `materialized`: what is computed ahead, `values` are its results,
    `refusals` as of the manifest; or `kept`, one entry or none."""

    key: str
    key_type: str
    rows: int
    layout: str
    columns: tuple[str, ...]
    records: tuple[RecordEntry, ...]
    materialized: str
    values: tuple[ValueEntry, ...]
    refusals: tuple[tuple[tuple[str, str], ...], ...]
    kept: tuple[KeptEntry, ...] = ()

    @property
    def kept_features(self) -> tuple[KeptFeature, ...]:
        """The features of `kept`."""
        return tuple(feature for entry in self.kept for feature in entry.features)

    def check_kept(self, item_fields: tuple[FieldUse, ...]) -> None:
        """Raise ValueError for features that are kept in a way that no compiler writes."""
        uses = tuple(feature.use for feature in self.kept_features)
        if len(self.kept) > 1 or (self.kept and item_fields[len(item_fields) - len(uses) :] != uses):
            raise ValueError("the item store keeps features that are not its last fields")
        for entry in self.kept:
            names = {"numbers" if feature.width else "collect_ids" for feature in entry.features}
            if entry.block_rows < 1 or set(entry.constants) != names or set(entry.refusals) != names:
                raise ValueError(f"the item store keeps features by the kernels {sorted(entry.constants)}, wanted {sorted(names)}")
            if any(min(one.ints, one.floats, one.bytes) < 1 for one in entry.constants.values()):
                raise ValueError("the item store has constants without elements")


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file of the artifact: bytes and checksum (`artifact/checksum.py`)."""

    bytes: int
    checksum: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest. `refusals`: for each feature kernel, (feature, rule) of each element of its status. `host_stages`: the library calls
    before the kernels, with the libraries and their versions; their files are `host/<name>`. `links`: the texts that kernels make before
    library calls read them. `schedule`: the knobs (`tvm_rank.schedule`).
    `precision`: of the dense layers below fp32, with the errors that it brings (`tvm_rank.accuracy.choose`)."""

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
    host_stages: tuple[HostStage, ...]
    links: tuple[LinkEntry, ...]
    store: tuple[StoreEntry, ...]  # one, or none
    features: tuple[str, ...]
    unused_features: tuple[str, ...]
    kernels: tuple[Mapping[str, Any], ...]
    groups: tuple[Mapping[str, Any], ...]
    compile_seconds: float
    files: Mapping[str, FileEntry]
    schedule: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    precision: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    samples: tuple[SamplesEntry, ...] = ()  # one, or none

    def to_json(self) -> str:
        """The text of manifest.json: the entries, and `checksum` over all others."""
        entries = dataclasses.asdict(self)
        return json.dumps(entries | {SEAL: _seal(entries)}, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Read manifest.json. Raises ArtifactError when it is damaged or of another schema."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _damaged(where, error) from error
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA or isinstance(schema, bool):
            raise ArtifactError(
                f"{where}: schema {schema!r}, this build reads schema {SCHEMA}; compile the artifact again with `tvm-rank compile`"
            )
        try:
            if data.pop(SEAL, None) != _seal(data):
                raise ValueError(f"its {SEAL} differs")
            manifest = decode(cls, data)
            manifest._check()
        except (ValueError, RecursionError) as error:
            raise _damaged(where, error) from error
        return manifest

    @property
    def all_stages(self) -> tuple[HostStage, ...]:
        """The library calls of the links, then those before the kernels of the model."""
        return (*(stage for link in self.links for stage in link.host_stages), *self.host_stages)

    @property
    def host_files(self) -> frozenset[str]:
        """The names of the files in `host` that library calls and links need."""
        programs: list[ProgramEntry | KeptEntry] = [program for link in self.links for program in link.programs]
        programs += [kept for one in self.store for kept in one.kept]
        constants = (entry.file for program in programs for entry in program.constants.values())
        return frozenset((*(name for stage in self.all_stages for name in stage.files.values()), *constants))

    @property
    def output_shapes(self) -> dict[str, tuple[str, tuple[int | str, ...]]]:
        """Dtype and shape of each output, in order."""
        return {output.name: (output.dtype, output.shape) for output in self.outputs}

    @property
    def sample_files(self) -> tuple[str, ...]:
        """The files of the samples."""
        return tuple(name for entry in self.samples for name in entry.files(self.output_shapes))

    def _check(self) -> None:
        """Raise ValueError for values that no compiler writes."""
        for entry in self.samples:
            entry.check(self.output_shapes)
        for output in self.outputs:
            if any(extent != "N" if isinstance(extent, str) else extent < 0 for extent in output.shape):
                raise ValueError(f"output {output.name!r} has the shape {output.shape}")
            if output.dtype not in DTYPES:
                raise ValueError(f"output {output.name!r} has the dtype {output.dtype!r}")
        for stack in self.stacks:
            starts = [table.first_row for table in stack.tables.values()]
            if stack.rows < 1 or stack.dim < 1 or not all(0 <= first < stack.rows for first in starts):
                raise ValueError(f"{stack.file!r} has {stack.rows} rows, dim {stack.dim}, and tables that begin at {starts}")
            if stack.precision not in PRECISIONS or stack.row_bytes != row_bytes(stack.precision, stack.dim):
                raise ValueError(f"{stack.file!r} has the precision {stack.precision!r}, {stack.row_bytes} bytes a row")
        for use in (*self.request_fields, *self.item_fields):
            if use.side not in SIDES or use.role not in ROLES:
                raise ValueError(f"field {use.name!r} has the side {use.side!r} and the role {use.role!r}")
        for stage in self.all_stages:
            if stage.operation not in OPERATIONS or stage.side not in (REQUEST, ITEM):
                raise ValueError(f"host stage {stage.output!r} has the operation {stage.operation!r} and the side {stage.side!r}")
        for program in (program for link in self.links for program in link.programs):
            program.check()
        self._check_store()
        if not all(use.is_request for use in self.request_fields):
            raise ValueError("request_fields has an item field")

    def _check_store(self) -> None:
        for store in self.store:
            if store.key_type not in KEY_TYPES or store.layout not in LAYOUTS or not 0 <= store.rows < 2**31 - 1:
                raise ValueError(
                    f"the item store has {store.rows} rows, the key type {store.key_type!r}, the layout {store.layout!r}"
                )
            if store.materialized not in MATERIALIZED:
                raise ValueError(f"the item store has materialized {store.materialized!r}")
            for value in store.values:
                if value.dtype not in DTYPES or any(extent < 0 for extent in value.shape):
                    raise ValueError(f"{value.file!r} has rows of the shape {value.shape}, {value.dtype}")
            if len(store.columns) != len(self.item_fields):
                raise ValueError(f"the item store has {len(store.columns)} columns for {len(self.item_fields)} fields")
            store.check_kept(self.item_fields)
        if len(self.store) > 1:
            raise ValueError(f"there are {len(self.store)} item stores")


def _seal(entries: Mapping[str, Any]) -> str:
    """The checksum of the manifest itself, which no other file can hold."""
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _damaged(where: str, error: Exception) -> ArtifactError:
    return ArtifactError(f"{where}: manifest.json is damaged ({error}); compile the artifact again, or copy it again")


def this_build() -> dict[str, Any]:
    """The manifest's entries about the software that compiled it."""
    return {"schema": SCHEMA, "version": tvm_rank.__version__, "tvm_version": metadata.version("apache-tvm")}
