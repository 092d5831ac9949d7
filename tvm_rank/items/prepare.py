"""What `compile` is told of an item store, and what it knows of it before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from tvm_rank.artifact.manifest import LAYOUTS, MATERIALIZED, KeptEntry, StoreEntry, ValueEntry
from tvm_rank.artifact.store import ITEMS
from tvm_rank.errors import RankError
from tvm_rank.host.link import LinkEntry, needed_columns
from tvm_rank.host.stage import ITEM, HostStage
from tvm_rank.items.source import STRING, key_type, read_items
from tvm_rank.runtime.columns import NUMBER, TEXT, FieldUse
from tvm_rank.runtime.this_machine import lacking, of_host

NONE, AUTO, BY_COLUMNS = "none", "auto", "columns"
CHOICES = (*MATERIALIZED, AUTO)
DEFAULT_BUDGET = 4 << 30  # bytes of what is computed ahead, under "auto"


@dataclass(frozen=True, kw_only=True)
class StoreChoice:
    """How a store is made: `store_layout` and `materialize` of `compile`."""

    layout: str = BY_COLUMNS
    materialize: str = NONE


def store_name(key: str, uses: Iterable[FieldUse]) -> str:
    """A short name of a store, for what tuning knows of it: digits that stand for its key column and the item fields that are read."""
    names = sorted({use.name for use in uses if not use.is_request})
    return f"store_{hashlib.blake2b(repr((key, names)).encode(), digest_size=4).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Materialized:
    """What code computes ahead for each item: the shape of a row and the dtype of each value; `fields` are the item fields that are read
    at requests all the same; `refusals` the columns behind each status of the values, by kernel; or `kept`, the features whose values are
    columns of the store, one entry or none."""

    values: tuple[tuple[tuple[int, ...], str], ...] = ()
    fields: frozenset[int] = frozenset()
    refusals: tuple[tuple[str, ...], ...] = ()
    kept: tuple[KeptEntry, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedStore:
    """The columns of the items that the store needs, as they were given, and its entry in the manifest, whose `columns` are still empty."""

    items: Mapping[str, pa.Array]
    entry: StoreEntry

    def materialized(self, code: Materialized, refusals: tuple[tuple[tuple[str, str], ...], ...]) -> PreparedStore:
        """The store with the values that the code computes ahead; fields that only they are made of are not read any more."""
        if not code.values and not code.kept:
            return replace(self, entry=replace(self.entry, materialized=NONE))
        values = tuple(
            ValueEntry(file=f"{ITEMS}/values_{k}.bin", shape=shape, dtype=dtype) for k, (shape, dtype) in enumerate(code.values)
        )
        columns = tuple(name if k in code.fields else "" for k, name in enumerate(self.entry.columns))
        entry = replace(self.entry, values=values, refusals=refusals, kept=code.kept)
        return replace(self, entry=replace(entry, columns=(*columns, *(feature.column for feature in entry.kept_features))))

    @property
    def passes(self) -> dict[str, Any]:
        """The arguments of `pipeline.run`: how kernels read the keys, and what is computed ahead."""
        level = self.entry.materialized
        return {"key_form": TEXT if self.entry.key_type == STRING else NUMBER, "materialize": None if level == NONE else level}


@dataclass(frozen=True, kw_only=True, eq=False)
class StoreOptions:
    """The arguments of `compile`; no items, no store. layout, materialize: None for what the tuning says, or else as `StoreChoice` has it."""

    items: Any
    key: str | None
    layout: str | None = None
    materialize: str | None = None
    memory_budget: int | None = None

    def __post_init__(self) -> None:
        if (self.items is None) != (self.key is None):
            raise RankError("compile(items, item_key): an item store needs both, the items and the name of their key column")
        if self.materialize not in (None, *CHOICES):
            raise RankError(f"compile(materialize={self.materialize!r}): give one of {', '.join(CHOICES)}")
        budget = self.memory_budget
        if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 0):
            raise RankError(f"compile(memory_budget={budget!r}): give a number of bytes, or None for {DEFAULT_BUDGET:,}")
        if self.materialize not in (None, NONE) and self.key is None:
            raise RankError(
                f"compile(materialize={self.materialize!r}): give items and item_key, for an item store to keep the values"
            )
        if self.layout not in (None, *LAYOUTS):
            raise RankError(f"compile(store_layout={self.layout!r}): give one of {', '.join(LAYOUTS)}")

    def check_target(self, name: str, machine: str, needs: Sequence[str]) -> None:
        """Raise RankError for a store under a target whose CPU is not here: the code that is compiled for it makes the store."""
        if self.key is not None and (lacks := lacking(machine, of_host(needs))):
            raise RankError(
                f"compile(target={name!r}, items=...): the store of the items is made by the code that is compiled, and {lacks}; compile on "
                "such a machine, or leave items and item_key out"
            )

    def prepared(
        self,
        uses: Sequence[FieldUse],
        links: Sequence[LinkEntry],
        stages: Sequence[HostStage],
        item_bytes: Callable[[str], int],
        tuned: Mapping[str, StoreChoice] = MappingProxyType({}),
    ) -> PreparedStore | None:
        """The items with the columns that these uses, the links and the host stages read. item_bytes: what a level takes for each item ·
        tuned: what the tuning says, by `store_name`.

        Raises InputError; RankError for a link that cannot be computed ahead.
        """
        if self.key is None:
            return None
        names = dict.fromkeys(use.name for use in uses if not use.is_request)
        _refuse_crossed(links)
        choice = tuned.get(store_name(self.key, uses), StoreChoice())
        items = read_items(self.items, self.key, needed_columns(links, stages, names, ITEM))
        entry = StoreEntry(
            key=self.key,
            key_type=key_type(items[self.key]),
            rows=len(items[self.key]),
            layout=self.layout or choice.layout,
            columns=tuple("" if use.is_request else use.name for use in uses),
            records=(),
            materialized=self._level(self.materialize or choice.materialize, len(items[self.key]), item_bytes),
            values=(),
            refusals=(),
        )
        return PreparedStore(items=items, entry=entry)

    def _level(self, wanted: str, rows: int, item_bytes: Callable[[str], int]) -> str:
        """What is computed ahead; under AUTO the most that fits the budget."""
        if wanted != AUTO:
            return wanted
        budget = DEFAULT_BUDGET if self.memory_budget is None else self.memory_budget
        stronger = (level for level in reversed(MATERIALIZED) if level != NONE)
        return next((level for level in stronger if item_bytes(level) * (rows + 1) <= budget), NONE)


def _refuse_crossed(links: Sequence[LinkEntry]) -> None:
    """Raise RankError for texts of items that a library call reads, and that are made of the request too."""
    for program in (program for link in links for program in link.programs if program.side == ITEM):
        if any(use.is_request for use in program.fields):
            raise RankError(
                f"compile(items): {', '.join(program.texts)} is made of items and of the request, and a library call reads it, so an item "
                "store cannot hold what it makes; leave items and item_key out"
            )
