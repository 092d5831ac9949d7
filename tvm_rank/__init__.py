"""tvm-rank: a compiler for ranking models. The public names, loaded at first use."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "check": "tvm_rank.runtime.check",
    "compile": "tvm_rank.compiler",
    "compile_features": "tvm_rank.features",
    "load": "tvm_rank.runtime.engine",
    "refresh": "tvm_rank.items.refresh",
    "CheckReport": "tvm_rank.runtime.check",
    "Artifact": "tvm_rank.artifact.artifact",
    "Engine": "tvm_rank.runtime.engine",
    "FeatureOutput": "tvm_rank.output",
    "FeatureProgram": "tvm_rank.runtime.program",
    "Precision": "tvm_rank.precision",
    "Samples": "tvm_rank.precision",
    "udf": "tvm_rank.functions.function",
    "RankError": "tvm_rank.errors",
    "ConfigError": "tvm_rank.errors",
    "ModelError": "tvm_rank.errors",
    "InputError": "tvm_rank.errors",
    "ArtifactError": "tvm_rank.errors",
    "TargetError": "tvm_rank.errors",
    "PrecisionError": "tvm_rank.errors",
    "TuningError": "tvm_rank.errors",
    "RpcError": "tvm_rank.errors",
    "BenchError": "tvm_rank.errors",
    "UdfError": "tvm_rank.errors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tvm_rank' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
