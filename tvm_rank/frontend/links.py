"""The programs that an artifact runs before library calls which read their texts (`host/before.py`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm

from te_schedules.column_group import kernel, ragged
from te_schedules.column_group.layout import Layout
from tvm_rank.config.spec import Feature, FeatureConfig
from tvm_rank.features import refusals_of
from tvm_rank.host.before import Link, MadeColumn, with_inputs
from tvm_rank.host.link import ConstantEntry, LinkEntry, ProgramEntry
from tvm_rank.host.plan import plan_host
from tvm_rank.host.stage import ITEM, REQUEST
from tvm_rank.lowering import column_of, made_beside
from tvm_rank.lowering.fields import FieldTable


@dataclass(frozen=True, kw_only=True, eq=False)
class BuiltLinks:
    """What the manifest says of the links, the functions of their kernels by name, and the files that they need by name."""

    entries: tuple[LinkEntry, ...] = ()
    functions: Mapping[str, tvm.tirx.PrimFunc] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def build_links(links: Sequence[Link]) -> BuiltLinks:
    """The kernels of all links, not yet compiled. Raises RankError when a library that the compiler needs is not installed."""
    entries: list[LinkEntry] = []
    functions: dict[str, tvm.tirx.PrimFunc] = {}
    files: dict[str, bytes] = {}
    for k, link in enumerate(links):
        hosted = plan_host(link.config)
        files.update(hosted.files)
        programs = []
        for side in (REQUEST, ITEM):
            wanted = [f for f in hosted.config.features if f.name in link.made and f.is_request == (side == REQUEST)]
            if wanted:
                entry, made = _program(hosted.config, wanted, link.made, side, f"link_{k}_{side}_", files)
                programs.append(entry)
                functions.update(made)
        entries.append(LinkEntry(host_stages=hosted.stages, programs=tuple(programs)))
    return BuiltLinks(entries=tuple(entries), functions=functions, files=files)


def _program(
    config: FeatureConfig,
    wanted: Sequence[Feature],
    made: Mapping[str, MadeColumn],
    side: str,
    prefix: str,
    files: dict[str, bytes],
) -> tuple[ProgramEntry, dict[str, Any]]:
    """The kernels that make the texts of these features, which are of one side; its constants are entered into `files`."""
    names = with_inputs([feature.name for feature in wanted], {feature.name: feature for feature in config.features})
    needed = [feature for feature in config.features if feature.name in names]
    table = FieldTable(needed)
    lowered = {feature.name: column_of(feature, table, config.hash_function) for feature in needed}
    columns = [lowered[feature.name] for feature in wanted]
    module, layouts = ragged.module(columns, lowered | made_beside(table), max(1, len(table.uses)), kernel.Knobs(), prefix)
    entry = ProgramEntry(
        side=side,
        prefix=prefix,
        fields=table.uses,
        texts=tuple(feature.name for feature in wanted),
        columns=tuple(made[feature.name].name for feature in wanted),
        single=tuple(made[feature.name].single for feature in wanted),
        constants={name: constant_entry(layout, files) for name, layout in layouts.items()},
        refusals={name: _refusals(layout, needed) for name, layout in layouts.items()},
    )
    return entry, {var.name_hint: function for var, function in module.functions_items()}


def _refusals(layout: Layout, features: Sequence[Feature]) -> tuple[tuple[str, str], ...]:
    return tuple((refusal.feature, refusal.rule) for refusal in refusals_of(layout.refusals, features))


def constant_entry(layout: Layout, files: dict[str, bytes]) -> ConstantEntry:
    """Enter the constant vectors of a kernel under a name that says their contents."""
    vectors = [
        np.ascontiguousarray(vector, dtype)
        for vector, dtype in ((layout.ints, "<i8"), (layout.floats, "<f8"), (layout.bytes, np.uint8))
    ]
    contents = b"".join(vector.tobytes() for vector in vectors)
    name = hashlib.blake2b(contents, digest_size=16).hexdigest()
    files[name] = contents
    ints, floats, count = (vector.size for vector in vectors)
    return ConstantEntry(file=name, ints=ints, floats=floats, bytes=count)
