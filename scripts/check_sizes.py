"""Report files and functions of the packages that have outgrown their limits.

    python scripts/check_sizes.py [--files LINES] [--functions LINES]

A function's lines are counted without its docstring. Ends with status 1 when there is anything to report.
"""

from __future__ import annotations

import argparse
import ast
import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("tvm_rank", "relay_passes", "te_schedules")


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end of the body, less the docstring's."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def findings(path: pathlib.Path, *, file_limit: int, function_limit: int) -> Iterator[str]:
    """One line of text for the file if it is too long, and for each function of it that is."""
    text = path.read_text(encoding="utf-8")
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    if (lines := len(text.splitlines())) > file_limit:
        yield f"{shown}: {lines} lines, more than {file_limit}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := function_lines(node)) > function_limit:
            yield f"{shown}:{node.lineno}: {node.name} has {lines} lines, more than {function_limit}"


def main() -> int:
    """Print the findings; 1 when there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300, metavar="LINES", help="limit of a file (default 300)")
    parser.add_argument("--functions", type=int, default=40, metavar="LINES", help="limit of a function (default 40)")
    args = parser.parse_args()
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    found = [line for path in paths for line in findings(path, file_limit=args.files, function_limit=args.functions)]
    for line in found:
        print(line)
    print(f"{len(paths)} files, {len(found)} over the limits")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
