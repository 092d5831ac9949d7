"""hash_bucket_size: id = hash(text) % size, for the unsigned 64-bit hash."""

from __future__ import annotations

from te_schedules.text import hash_farm, hash_std
from te_schedules.tokens import Text

HASHES = {"std": hash_std.emit, "farm": hash_farm.emit}


def constants(size: int) -> dict[str, int]:
    """The int64 constants of a column (bit patterns of uint64)."""
    return {"size": size, "magic": _signed((2**64 - 1) // size)}


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def emit(scope, text: Text, hash_function: str):
    """The id (int64) of a text."""
    hashed = HASHES[hash_function](text.address, text.length)
    return hashed.remainder(scope.int("size"), scope.int("magic"))
