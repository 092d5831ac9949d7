"""Tables of plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

Cell = str | int | float
LONGEST = 60  # columns of the terminal that one cell may take


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]], *, indent: int = 2) -> str:
    """The rows below their header, columns aligned: numbers to the right, text to the left.

    Integers get thousands separators, floats six digits. Control characters are shown as spaces, and text beyond LONGEST is cut.
    """
    texts = [[_text(cell) for cell in row] for row in rows]
    numeric = [bool(rows) and all(not isinstance(row[k], str) for row in rows) for k in range(len(header))]
    widths = [max(width(line[k]) for line in [list(header), *texts]) for k in range(len(header))]
    lines = []
    for line in [list(header), *texts]:
        cells = [_padded(cell, widths[k], numeric[k]) for k, cell in enumerate(line)]
        lines.append(" " * indent + "  ".join(cells).rstrip())
    return "\n".join(lines)


def width(text: str) -> int:
    """How many columns of a terminal the text takes; a wide character (東) takes two."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def size_text(count: int) -> str:
    """A number of bytes for a reader: 512 B, 3.1 kB, 20.4 MB, 1.1 GB."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _text(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.6f}"
    if isinstance(cell, int):
        return f"{cell:,}"
    shown, used = "", 0
    for character in cell:
        used += width(character)
        if used > LONGEST:
            return shown + "…"
        shown += character if character.isprintable() else " "
    return shown


def _padded(text: str, columns: int, right: bool) -> str:
    room = " " * (columns - width(text))
    return room + text if right else text + room
