"""What `compile` is told of an item store, and what it knows of it before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tvm_rank.artifact.manifest import LAYOUTS, StoreEntry
from tvm_rank.errors import RankError
from tvm_rank.host.plan import HostPlan
from tvm_rank.host.stage import ITEM, HostFunctions
from tvm_rank.items.source import STRING, key_type, read_items
from tvm_rank.runtime.columns import NUMBER, TEXT, FieldUse


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedStore:
    """The columns of the items that the store needs, as they were given, and its entry in the manifest, whose `columns` are still empty."""

    items: Mapping[str, pa.Array]
    entry: StoreEntry

    @property
    def key_form(self) -> str:
        """How kernels read the keys: `text` or `number`."""
        return TEXT if self.entry.key_type == STRING else NUMBER


@dataclass(frozen=True, kw_only=True, eq=False)
class StoreOptions:
    """The arguments of `compile`; no items, no store."""

    items: Any
    key: str | None
    layout: str

    def __post_init__(self) -> None:
        if (self.items is None) != (self.key is None):
            raise RankError("compile(items, item_key): an item store needs both, the items and the name of their key column")
        if self.layout not in LAYOUTS:
            raise RankError(f"compile(store_layout={self.layout!r}): give one of {', '.join(LAYOUTS)}")

    def prepared(self, uses: Sequence[FieldUse], host: HostPlan) -> PreparedStore | None:
        """The items with the columns that these uses and the host stages read. Raises InputError."""
        if self.key is None:
            return None
        names = dict.fromkeys(use.name for use in uses if not use.is_request)
        functions = HostFunctions.open(host.stages, host.files)
        items = read_items(self.items, self.key, functions.request_columns(names, ITEM))
        rows, columns = len(items[self.key]), ("",) * len(uses)
        entry = StoreEntry(key=self.key, key_type=key_type(items[self.key]), rows=rows, layout=self.layout, columns=columns)
        return PreparedStore(items=items, entry=entry)
