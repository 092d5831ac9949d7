"""Pages that need no other file: HTML with plots in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """body { font-family: sans-serif; max-width: 60em; margin: 2em auto; color: #222 }
table { border-collapse: collapse } td, th { padding: 0.2em 0.8em; text-align: right } td:first-child, th:first-child { text-align: left }
tr:nth-child(even) { background: #f4f4f4 } svg { display: block; margin: 0.5em 0 1.5em }"""


def page(title: str, heading: str, parts: Sequence[str]) -> str:
    """The whole page; `parts` are HTML, title and heading text."""
    head = f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head><body>'
    return "\n".join([head, f"<h1>{escape(heading)}</h1>", *parts, "</body></html>\n"])


def html_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of texts and numbers."""
    lines = ["<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>" + "".join(lines) + "</table>"


def svg(width: int, height: int, parts: Sequence[str]) -> str:
    """A drawing of these elements."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, *parts, "</svg>"])
