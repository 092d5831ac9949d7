"""The results as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_KERNELS = 12


def text_of(results: Mapping[str, Any]) -> str:
    """A table for each kind of result, and at the end whether all is right; of steps that are not done there is nothing."""
    lines = [f"{key:12} {value}" for key, value in {"target": results["arch"], **results["machine"]}.items()]
    copies = results.get("copies", {})
    lines += ["", *_checks(results.get("checks", {})), "", *_copies(copies)]
    torch = results.get("torch", {})
    for name, one in results.items():
        if isinstance(one, Mapping) and "sizes" in one and name != "torch":
            lines += ["", *_sizes(name, one["sizes"], torch if name == "rank_bench" else {})]
            lines += ["", *_kernels(name, one["kernels"], copies)] if "kernels" in one else []
    is_ok = results.get("ok")
    ends = "unfinished: not all steps are done" if is_ok is None else "ok: all scores are right" if is_ok else "FAILED: see above"
    return "\n".join([*lines, "", ends]) + "\n"


def _checks(checks: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'check':14} {'ok':6} {'relative':>9} {'allowed':>9} {'load ms':>9} {'first ms':>9} {'then ms':>9}"
    for name, one in checks.items():
        if "failed" in one:
            yield f"{name:14} FAILED {one['failed']}"
            continue
        worst = max(one["outputs"], key=lambda output: output["relative"], default={"relative": 0.0, "tolerance": 0.0})
        state = "yes" if one["ok"] else "NO"
        times = " ".join(f"{one[key]:9.3f}" for key in ("load_ms", "first_ms", "median_ms"))
        yield f"{name:14} {state:6} {worst['relative']:9.1e} {worst['tolerance']:9.1e} {times} {one['missing']}".rstrip()


def _copies(copies: Mapping[str, Any]) -> Iterator[str]:
    for name, value in copies.items():
        yield f"copies {name:12} {value}"


def _sizes(name: str, sizes: Mapping[str, Any], torch: Mapping[str, Any]) -> Iterator[str]:
    """Raw fields on the host to scores on the host."""
    if "failed" in sizes:
        yield f"{name} FAILED {sizes['failed']}"
        return
    of_torch = torch.get("sizes", {})
    yield f"{name:14} {'items':>7} {'p50 us':>10} {'p99 us':>10} {'calls':>7}" + _graphs_head(sizes) + _torch_head(torch)
    for rows, one in sizes.items():
        line = f"{'':14} {rows:>7} {one['p50_us']:10.1f} {one['p99_us']:10.1f} {one['calls']:7}"
        if without := one.get("without_graphs"):
            line += f"   {without['p50_us']:10.1f} {without['p99_us']:10.1f}"
        if other := of_torch.get(rows):
            ratio = other["p50_us"] / one["p50_us"]
            line += f"   {other['p50_us']:10.1f} {other['p99_us']:10.1f} {ratio:6.2f} times, differs by {other['largest_difference']:.1e}"
        yield line


def _graphs_head(sizes: Mapping[str, Any]) -> str:
    return f"   {'no graphs: p50':>14}, p99" if any("without_graphs" in one for one in sizes.values()) else ""


def _torch_head(torch: Mapping[str, Any]) -> str:
    if why := torch.get("missing") or torch.get("failed"):
        return f"   torch from ids: {why}"
    return f"   torch {torch['version']} from ids: p50 us, p99 us" if torch else ""


def _kernels(name: str, kernels: Mapping[str, Any], copies: Mapping[str, Any]) -> Iterator[str]:
    if "failed" in kernels:
        yield f"kernels of {name} FAILED {kernels['failed']}"
        return
    yield f"kernels of {name}, {kernels['rows']} items, {kernels['request_us']:.1f} us a request; each with its start and the wait for its end"
    for one in kernels["kernels"][:MOST_KERNELS]:
        yield f"  {one['name']:60} {one['us']:10.1f} us {one['calls']:6.1f} calls"
    if (reached := kernels.get("lookup_gb_s")) is not None:
        copied = 2 * (copies.get("on_gpu_gb_s") or copies.get("on_cpu_gb_s") or 0)
        share = f", {reached / copied:.0%} of the {copied:.1f} GB/s that copies read and write" if copied else ""
        yield f"  lookups read and write {reached:.1f} GB/s{share}"
