"""refresh: new items for an artifact with an item store. The code and the tables stay the files that they are."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from tvm_rank.artifact import store
from tvm_rank.artifact.manifest import FileEntry, Manifest, StoreEntry
from tvm_rank.artifact.samples import FOLDER, SampleRequests, SamplesEntry, read_samples, write_samples
from tvm_rank.errors import ArtifactError, InputError, RankError
from tvm_rank.host.link import needed_columns
from tvm_rank.host.stage import ITEM
from tvm_rank.items.build import write_store
from tvm_rank.items.records import type_name
from tvm_rank.items.refreshed_samples import refreshed_samples
from tvm_rank.items.source import read_items
from tvm_rank.runtime.this_machine import check_host


def refresh(
    path: str | os.PathLike[str], items: Any, progress: Callable[[str], None] | None = None, *, allow_empty: bool = False
) -> Manifest:
    """Make the item store of the artifact at `path` again from other items; gives the new manifest.

    items: as `compile` takes them, with the columns and types that it was compiled with · progress: called with the name of each stage as
    it begins · allow_empty: take a table without rows, which is refused else: it is a job that failed more often than a catalogue that is
    empty, and sample requests do not come back. Nothing is compiled: the kernels of the artifact do the work, on the CPU
    (one for a GPU has some for that). The artifact is replaced when the new one is complete; engines
    that are running go on with the store that they have mapped. Sample requests lose the items that are not the same any more. Raises
    ArtifactError for an artifact without a store, InputError for items that do not fit it.
    """
    folder, say = pathlib.Path(path), progress or (lambda _stage: None)
    say("reading the artifact")
    manifest = store.read(folder)
    if not manifest.store:
        raise RankError(f"{folder}: has no item store; compile it with --items and --item-key")
    check_host(manifest, str(folder))
    say("reading the items")
    entry = manifest.store[0]
    fields = manifest.item_fields[: len(manifest.item_fields) - len(entry.kept_features)]
    names = dict.fromkeys(use.name for use in fields if not use.is_request)
    arrays = read_items(items, entry.key, needed_columns(manifest.links, manifest.host_stages, names, ITEM))
    if not allow_empty and not len(arrays[entry.key]):
        raise InputError(
            f"items: the table has no rows, and the store of {folder} has {entry.rows:,}; see what made the table, or say allow_empty=True "
            "(--allow-empty) to score all items by their defaults"
        )
    schema = stored_schema(folder)
    made: list[StoreEntry] = []
    kept = {name: file for name, file in manifest.files.items() if not name.startswith((f"{store.ITEMS}/", f"{FOLDER}/"))}
    sampled: list[SamplesEntry] = []

    def fill(new: pathlib.Path) -> None:
        for name in kept:
            _link(folder / name, new / name)
        made.append(write_store(new, manifest, arrays, say, partial(check_types, entry, schema)))
        samples, entries = _samples(folder, manifest, arrays, say)
        sampled.extend(entries)
        if samples is not None:
            write_samples(new, samples)
        say("replacing the artifact")

    def finish(files: dict[str, FileEntry]) -> Manifest:
        return dataclasses.replace(manifest, files=files, store=tuple(made), samples=tuple(sampled))

    return store.write(folder, fill, finish, known=kept)


def _samples(
    folder: pathlib.Path, manifest: Manifest, items: Mapping[str, pa.Array], say: Callable[[str], None]
) -> tuple[SampleRequests | None, tuple[SamplesEntry, ...]]:
    """The samples of the artifact whose items are the same, and their entry."""
    if not manifest.samples or not manifest.samples[0].items:
        return None, manifest.samples
    (entry,) = manifest.samples
    left, now = refreshed_samples(read_samples(folder, entry, manifest.output_shapes), entry, items, manifest.store[0].key)
    if now.items < entry.items:
        say(f"leaving out {entry.items - now.items} of {entry.items} sampled items, which have other fields now")
    return left, (now,)


def stored_schema(folder: pathlib.Path) -> pa.Schema:
    """The columns of a store. Raises ArtifactError."""
    try:
        with pa.memory_map(str(folder / store.ITEM_FILE)) as file:
            return pa.ipc.open_file(file).schema
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{folder}: {store.ITEM_FILE} is damaged ({error}); compile the artifact again") from error


def check_types(old: StoreEntry, schema: pa.Schema, columns: Mapping[str, pa.Array], names: Sequence[str]) -> None:
    """Raise InputError, with all differences, unless the new columns have the types of the old ones."""
    types = {field.name: type_name(field.type) for field in schema} | {entry.name: entry.type for entry in old.records}
    pairs = [(old.key, old.key), *((was, now) for was, now in zip(old.columns[: len(names)], names, strict=True) if was)]
    found = [(now, type_name(columns[now].type), types[was]) for was, now in pairs]
    wrong = [f"{name!r} is {now}, was {was}" for name, now, was in found if now != was]
    if wrong:
        raise InputError(
            f"items: other types than the store has: {'; '.join(dict.fromkeys(wrong))}; convert them, or compile again"
        )


def _link(source: pathlib.Path, target: pathlib.Path) -> None:
    """The same file under another name; a copy where the system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
