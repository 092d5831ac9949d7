"""What NVIDIA's compiler wrote down in machine code of a GPU (an ELF file) about its kernels: registers, stacks, and whether they take memory.

Records of the section `.nv.info`: (form, attribute, size or value), and of the form SIZED so many bytes: the kernel's symbol, its number.
"""

from __future__ import annotations

import pathlib
import struct
from typing import NamedTuple

from tvm_rank.errors import ArtifactError

_SIZED, _OF_A_KERNEL = 4, 8  # form; size in bytes
_FRAME, _STACK, _REGISTERS = 0x11, 0x12, 0x2F  # attributes: EIATTR_FRAME_SIZE, MIN_STACK_SIZE, REGCOUNT
_SYMBOLS = (2, 11)  # SHT_SYMTAB, SHT_DYNSYM
_SYMBOL_BYTES = 24
_CODE = ".text."  # begins the names of sections
_MALLOC = "malloc"  # the device's, which the driver brings


class Section(NamedTuple):
    """Of an ELF file. kind: its type · link: the number of the section that has its names."""

    name: str
    kind: int
    link: int
    data: bytes


class MachineCode(NamedTuple):
    """Its kernels and functions; the most registers, and bytes of stack (local memory), that a thread of a kernel takes; whether any takes
    memory from the heap."""

    functions: frozenset[str]
    registers: int
    stack_bytes: int
    takes_memory: bool


def sections(code: bytes) -> list[Section]:
    """Of an ELF file of 64 bits. Raises ValueError, or struct.error, when it is none."""
    if not code.startswith(b"\x7fELF\x02"):
        raise ValueError("no ELF file of 64 bits")
    (headers,) = struct.unpack_from("<Q", code, 0x28)
    size, count, names = struct.unpack_from("<3H", code, 0x3A)
    found = [struct.unpack_from("<2I4QI", code, headers + k * size) for k in range(count)]
    texts = code[found[names][4] : found[names][4] + found[names][5]]
    return [Section(_text(texts, name), kind, link, code[at : at + length]) for name, kind, _, _, at, length, link in found]


def of(code: bytes) -> MachineCode:
    """What is written down. Raises ValueError, IndexError or struct.error when it is damaged."""
    found = sections(code)
    info = next((section.data for section in found if section.name == ".nv.info"), b"")
    functions = frozenset(section.name.removeprefix(_CODE) for section in found if section.name.startswith(_CODE))
    return MachineCode(functions, *_most(info), _MALLOC in _symbols(found))


def read(path: pathlib.Path) -> MachineCode:
    """Of a file. Raises ArtifactError when it is damaged."""
    try:
        return of(path.read_bytes())
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise ArtifactError(f"{path}: no machine code of a GPU ({error}); compile the artifact again") from error


def _most(info: bytes) -> tuple[int, int]:
    at, registers, stack = 0, 0, 0
    while at + 4 <= len(info):
        form, attribute, size = struct.unpack_from("<2BH", info, at)
        if form == _SIZED and size == _OF_A_KERNEL:
            (number,) = struct.unpack_from("<I", info, at + 8)
            if attribute == _REGISTERS:
                registers = max(registers, number)
            if attribute in (_FRAME, _STACK):
                stack = max(stack, number)
        at += 4 + size * (form == _SIZED)
    return registers, stack


def _symbols(found: list[Section]) -> set[str]:
    names: set[str] = set()
    for table in found:
        if table.kind in _SYMBOLS:
            texts = found[table.link].data
            starts = (struct.unpack_from("<I", table.data, at)[0] for at in range(0, len(table.data), _SYMBOL_BYTES))
            names |= {_text(texts, start) for start in starts}
    return names


def _text(texts: bytes, start: int) -> str:
    return texts[start : texts.index(b"\0", start)].decode(errors="replace")
