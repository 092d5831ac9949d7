"""The errors that a user can meet. A message says where, what it got, what it wanted, and the next step."""

from __future__ import annotations

from collections.abc import Sequence


class RankError(Exception):
    """Root of all errors that this package raises on purpose."""


class ConfigError(RankError, ValueError):
    """The feature configuration is wrong. `problems` lists every finding, each with its path inside the file."""

    def __init__(self, source: str, problems: Sequence[str]):
        self.source, self.problems = source, tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n  ".join([f"{source}: {count} in the feature configuration", *self.problems]))


class ModelError(RankError, ValueError):
    """The ONNX model, its tables or their binding to the features cannot be compiled. `problems` lists every finding."""

    def __init__(self, source: str, problems: Sequence[str]):
        self.source, self.problems = source, tuple(problems)
        super().__init__("\n  ".join([f"{source}: cannot be compiled", *self.problems]))


class InputError(RankError, ValueError):
    """The columns of a request do not fit the artifact: missing, of a wrong type, ragged, or with a value that is refused."""


class RowError(InputError):
    """A row that a feature refuses: `feature` its name, or "" for any, `row` the row's number in the call, `reason` the rule that it broke."""

    def __init__(self, feature: str, row: int, reason: str):
        self.feature, self.row, self.reason = feature, row, reason
        super().__init__(f"{f'feature {feature!r}, ' if feature else ''}row {row}: {reason}")


class ArtifactError(RankError, ValueError):
    """The artifact is damaged, of another schema, or built for another machine."""


class TargetError(RankError, ValueError):
    """The target is unknown, or this build cannot generate code for it."""


class TuningError(RankError, ValueError):
    """The tuning database is damaged or of another target, or tuning measured nothing."""


class RpcError(RankError, ConnectionError):
    """No RPC tracker answers, no server is free, or all that were tried have died."""


class PrecisionError(RankError, ValueError):
    """The scores of the samples differ from those of fp32 by more than the tolerance."""


class UdfError(RankError, NotImplementedError):
    """A user-defined function has what the subset of Python cannot express; the message begins with file and line."""


class BenchError(RankError, ValueError):
    """A benchmark cannot be run as asked for, or a contestant's scores are wrong."""
