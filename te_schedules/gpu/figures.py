"""What the models of costs know of the GPU that code is built for, by its compute capability.

The numbers are those of NVIDIA's documents: data sheets say how many processors (SMs) a GPU has, or how many CUDA cores, of which each has 64
(8.0) or 128; the CUDA Programming Guide how many float32 products one starts in a clock, by compute capability. Of the B200 no data
sheet says it: CUDA reports 148. Of several GPUs of one capability the one for servers is meant: an A30 has 56 processors, an A40 84, an L4
58, an H100 for PCIe 114. Nothing was measured.

Bandwidth and clock are not among them: all choices of a model read the same bytes of the GPU's memory, and times are in clocks. What documents
do not say of each (latencies, what the second-level cache gives) the models have as one number for all, about that of an H200.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import tvm


@dataclass(frozen=True, kw_only=True)
class Figures:
    """processors: of the GPU · products: of float32, that one processor starts in a clock."""

    gpu: str
    processors: int
    products: int


BY_CAPABILITY: Mapping[int, Figures] = MappingProxyType(
    {
        80: Figures(gpu="A100", processors=108, products=64),
        86: Figures(gpu="A10", processors=72, products=128),
        89: Figures(gpu="L40S", processors=142, products=128),
        90: Figures(gpu="H100, H200", processors=132, products=128),
        100: Figures(gpu="B200", processors=148, products=128),
    }
)


def figures_of(arch: str) -> Figures:
    """The figures of a GPU such as "sm_90": of the nearest known capability that is not above, or else of the least."""
    found = re.match(r"sm_(\d+)", arch)
    if found is None:
        raise ValueError(f"{arch!r} names no compute capability such as 'sm_90'")
    known = [capability for capability in BY_CAPABILITY if capability <= int(found[1])]
    return BY_CAPABILITY[max(known, default=min(BY_CAPABILITY))]


def current() -> Figures:
    """The figures of the GPU that code is built for (`with target:`). Raises ValueError where that is none."""
    target = tvm.target.Target.current(allow_none=True)
    if target is None or target.kind.name != "cuda":
        raise ValueError("no GPU to model costs for; build inside of `with target:` of one")
    return figures_of(str(target.attrs["arch"]))
