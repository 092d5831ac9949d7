"""JSON -> the types of a dataclass, strictly: values of other types, missing keys and unknown keys are refused with their path."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any


def decode(wanted: Any, value: Any, path: str = "") -> Any:
    """`value`, as json.loads gives it, as the annotation `wanted`: str, int, float, bool, Any, a union of these, tuple[T, ...],
    tuple[S, T], Mapping[str, T] or a dataclass of such fields. Raises ValueError."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if dataclasses.is_dataclass(wanted):
        return _dataclass(wanted, value, path)
    if wanted is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        wanted = parts
    elif origin is tuple:
        items = _checked(list, value, path)
        types_of = parts[:1] * len(items) if parts[-1] is Ellipsis else parts
        if len(types_of) != len(items):
            raise ValueError(f"{path}: wanted {len(types_of)} entries, got {len(items)}")
        return tuple(decode(kind, item, f"{path}[{k}]") for k, (kind, item) in enumerate(zip(types_of, items, strict=True)))
    elif origin is Mapping:
        return {key: decode(parts[1], entry, f"{path}[{key!r}]") for key, entry in _checked(dict, value, path).items()}
    return float(_checked((int, float), value, path)) if wanted is float else _checked(wanted, value, path)


def _checked(wanted: Any, value: Any, path: str) -> Any:
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        names = [kind.__name__ for kind in wanted] if isinstance(wanted, tuple) else [wanted.__name__]
        raise ValueError(f"{path}: wanted {' or '.join(names)}, got {type(value).__name__}")
    return value


def _dataclass(wanted: Any, value: Any, path: str) -> Any:
    entries = _checked(dict, value, path)
    hints = typing.get_type_hints(wanted)
    if unknown := sorted(entries.keys() - hints.keys()):
        raise ValueError(f"{path}: unknown keys {', '.join(unknown)}")
    if missing := sorted(hints.keys() - entries.keys()):
        raise ValueError(f"{path}: lacks {', '.join(missing)}")
    return wanted(**{name: decode(hint, entries[name], f"{path}.{name}".lstrip(".")) for name, hint in hints.items()})
