"""Measured times of kernels beside what the plan says of them."""

from __future__ import annotations

from collections.abc import Sequence

from tvm_rank.cli.text_table import Cell, text_table
from tvm_rank.plan.steps import Plan, Step, total
from tvm_rank.plan.text import rows_text
from tvm_rank.runtime.profile import KernelTime

HEADER = ("kernel", "side", "rows", "calls", "us", "share", "GFLOP/s", "GB/s")


def profile_text(plan: Plan, seconds: float, kernels: Sequence[KernelTime], requests: int, items: int) -> str:
    """A table of the kernels of a request with `requests` user rows and `items` items, the longest first; then its whole time."""
    steps: dict[str, list[Step]] = {}
    for step in plan.kernels:
        steps.setdefault(step.operator, []).append(step)
    inside = sum(kernel.seconds for kernel in kernels)
    rows: list[list[Cell]] = []
    for kernel in kernels:
        own = steps.get(kernel.name, [])
        flops, moved = total(own, requests, items)
        rate = [f"{amount / kernel.seconds / 1e9:.1f}" if amount and kernel.seconds else "" for amount in (flops, moved)]
        side, size = (own[0].side, rows_text(own[0].rows)) if own else ("", "")
        share = f"{kernel.seconds / inside:.1%}" if inside else ""
        rows.append([kernel.name, side, size, f"{kernel.calls:g}", f"{kernel.seconds * 1e6:.1f}", share, *rate])
    whole = f"kernels {inside * 1e6:.1f} us of {seconds * 1e6:.1f} us a request (R = {requests}, N = {items})"
    return f"measured\n{text_table(HEADER, rows)}\n{whole}"
