"""Typed reading of JSON objects that collects every problem, with its path, in place of stopping at the first."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tvm_rank.config.keys import ALIASES

INT64_MAX = 2**63 - 1

Problems = list[str]


def describe(value: Any) -> str:
    """A JSON value in words, short enough for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, int) and value.bit_length() > 128:
        return "an integer of many digits"
    return f"the number {value!r}" if isinstance(value, (int, float)) else f"a {type(value).__name__}"


def one_of(allowed: Iterable[str]) -> str:
    """`'a', 'b' or 'c'`"""
    words = [repr(word) for word in allowed]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def all_of(words: Sequence[str]) -> str:
    """`a, b and c`"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def integer_of(value: Any) -> int | None:
    """The value if it is an integer of JSON: true and 1.0 are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number_of(value: Any) -> float | None:
    """The value as a double if it is a number of JSON that is finite there."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


class Section:
    """One JSON object at `path`. Each reader returns the default when the key is absent, and when it is wrong (and noted).

    `operators`: the user-defined functions that the file can name · `dialect`: see `rtp.py`.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        path: str,
        problems: Problems,
        operators: Mapping[str, Any] | None = None,
        dialect: str = "pyfg",
    ):
        self.path, self._problems, self.operators, self.dialect = path, problems, operators or {}, dialect
        self._spelling: dict[str, str] = {}
        for key in values:
            name = ALIASES.get(key, key)
            if name in self._spelling:
                self._problems.append(f"{self._at(key)}: the same key as {self._spelling[name]!r}; keep one of them")
            self._spelling.setdefault(name, key)
        self._values = values

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def __contains__(self, key: str) -> bool:
        return key in self._spelling

    def get(self, key: str) -> Any:
        """The value of a key that is there, unchecked."""
        return self._values[self._spelling[key]]

    def where(self, key: str) -> str:
        """The path of a key, as the file spells it."""
        return self._at(self._spelling.get(key, key))

    def problem(self, key: str, message: str) -> None:
        """Note a problem of this key."""
        self._problems.append(f"{self.where(key)}: {message}")

    def missing(self, key: str, wanted: str) -> None:
        """Note that the object lacks a key."""
        self._problems.append(f"{self.path}: {key!r} is missing; {wanted}")

    def without(self, key: str) -> Section:
        """The same object as if it did not have this key."""
        other = copy.copy(self)
        other._spelling = {name: spelling for name, spelling in self._spelling.items() if name != key}
        return other

    def with_value(self, key: str, value: Any) -> Section:
        """The same object as if it had this value for the key."""
        other = copy.copy(self)
        other._spelling = {**self._spelling, key: self._spelling.get(key, key)}
        other._values = {**self._values, other._spelling[key]: value}
        return other

    def inside(self, key: str, index: int, value: Any) -> Section | None:
        """The object at `index` of the list of a key; None, with a problem, when it is no object."""
        path = f"{self.where(key)}[{index}]"
        if isinstance(value, dict):
            return Section(value, path, self._problems, self.operators, self.dialect)
        self._problems.append(f"{path}: wanted an object, got {describe(value)}")
        return None

    def changed(self, changes: Mapping[str, Any]) -> Section:
        """The same object with these keys (in their main spelling) set to other values."""
        other = copy.copy(self)
        others = {name: spelling for name, spelling in self._spelling.items() if name not in changes}
        other._values = {spelling: self._values[spelling] for spelling in others.values()} | dict(changes)
        other._spelling = others | {name: name for name in changes}
        return other

    def known_keys(self) -> list[str]:
        """The keys of the object in their main spelling, in order."""
        return list(self._spelling)

    def text(self, key: str, default: str) -> str:
        """A text."""
        if key not in self:
            return default
        value = self.get(key)
        if isinstance(value, str):
            return value
        quoted = f'; write "{value}"' if integer_of(value) is not None or isinstance(value, float) else ""
        self.problem(key, f"wanted text, got {describe(value)}{quoted}")
        return default

    def required_text(self, key: str, wanted: str) -> str:
        """A text that must be there and not empty; "" when it is not."""
        if key not in self:
            self.missing(key, wanted)
            return ""
        value = self.text(key, "")
        if value == "" and isinstance(self.get(key), str):
            self.problem(key, f"is empty; {wanted}")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """true or false."""
        if key not in self:
            return default
        value = self.get(key)
        if isinstance(value, bool):
            return value
        self.problem(key, f"wanted true or false, got {describe(value)}")
        return default

    def integer(self, key: str, *, minimum: int, default: int, maximum: int = INT64_MAX) -> int:
        """An integer in [minimum, maximum]."""
        if key not in self:
            return default
        value = self.get(key)
        number = integer_of(value)
        if number is not None and minimum <= number <= maximum:
            return number
        limit = f"at most {maximum}" if number is not None and number > maximum else f"at least {minimum}"
        self.problem(key, f"wanted an integer of {limit}, got {describe(value)}")
        return default

    def choice(self, key: str, allowed: Collection[str], default: str, aliases: Mapping[str, str] | None = None) -> str:
        """One of the allowed texts; an alias stands for another."""
        value = self.text(key, default)
        value = (aliases or {}).get(value, value)
        if value in allowed:
            return value
        self.problem(key, f"unknown value {value!r}{did_you_mean(value, allowed)}; allowed: {', '.join(allowed)}")
        return default

    def check_choice(self, key: str, allowed: Collection[str]) -> None:
        """Note a problem unless the key is absent, or one of the allowed texts in any case."""
        value = self.text(key, "")
        if key in self and isinstance(self.get(key), str) and value.lower() not in allowed:
            hint = did_you_mean(value.lower(), allowed)
            self.problem(key, f"unknown value {value!r}{hint}; allowed: {', '.join(allowed)}")
