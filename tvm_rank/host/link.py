"""What the manifest says of texts that kernels make before library calls read them (`before.py`): a chain of links.

    columns -> stages of link 0 -> programs of link 0 -> columns "feature x" -> stages of link 1 -> ... -> stages and kernels of the model

The stages and programs of a link read the columns of the request and those that the programs of the link before made, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tvm_rank.host.stage import ITEM, REQUEST, HostStage, columns_before
from tvm_rank.runtime.columns import FieldUse

KERNELS = ("count_texts", "emit_texts")  # of a program


@dataclass(frozen=True, kw_only=True)
class ConstantEntry:
    """The constant vectors of a kernel: a file `host/<file>` of so many int64, then float64, then uint8."""

    file: str
    ints: int
    floats: int
    bytes: int

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return 8 * self.ints + 8 * self.floats + self.bytes


@dataclass(frozen=True, kw_only=True)
class ProgramEntry:
    """Kernels that make texts of one side: "user" (a row for each request) or "item" (for each item, also of columns of the request).

    prefix: of the kernels' names in the library · fields: the rows of their descriptor table · texts: the features, in kernel order ·
    columns: the column that each becomes · single: whether it has one text a row, and not a list · constants, refusals: (feature, rule)
    of each status element, by the names of KERNELS.
    """

    side: str
    prefix: str
    fields: tuple[FieldUse, ...]
    texts: tuple[str, ...]
    columns: tuple[str, ...]
    single: tuple[bool, ...]
    constants: Mapping[str, ConstantEntry]
    refusals: Mapping[str, tuple[tuple[str, str], ...]]

    def check(self) -> None:
        """Raise ValueError for values that no compiler writes."""
        if self.side not in (REQUEST, ITEM) or not len(self.texts) == len(self.columns) == len(self.single):
            raise ValueError(
                f"the program {self.prefix!r} has the side {self.side!r}, {len(self.texts)} texts, {len(self.columns)} columns"
            )
        if set(self.constants) != set(KERNELS) or set(self.refusals) != set(KERNELS):
            raise ValueError(f"the program {self.prefix!r} has the kernels {sorted(self.constants)}, wanted {KERNELS}")
        if any(min(entry.ints, entry.floats, entry.bytes) < 1 for entry in self.constants.values()):
            raise ValueError(f"the program {self.prefix!r} has constants without elements")


@dataclass(frozen=True, kw_only=True)
class LinkEntry:
    """Library calls, and the programs that read what they make."""

    host_stages: tuple[HostStage, ...]
    programs: tuple[ProgramEntry, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the programs make."""
        return frozenset(name for program in self.programs for name in program.columns)

    def reads(self, side: str) -> Iterable[str]:
        """The columns of a side that the kernels of the programs read."""
        return (use.name for program in self.programs for use in program.fields if use.is_request == (side == REQUEST))


def needed_columns(links: Sequence[LinkEntry], stages: Sequence[HostStage], read: Iterable[str], side: str) -> tuple[str, ...]:
    """The columns of a side that a request must bring, for kernels that read `read` behind these links and then these stages."""
    found = [name for name in columns_before(stages, read, side) if not links or name not in links[-1].columns]
    for k, link in enumerate(links):
        before: frozenset[str] = links[k - 1].columns if k else frozenset()
        found += [name for name in columns_before(link.host_stages, link.reads(side), side) if name not in before]
    return tuple(dict.fromkeys(found))
