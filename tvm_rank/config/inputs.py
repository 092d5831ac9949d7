"""What a feature reads: its input columns and the separators of their texts."""

from __future__ import annotations

from tvm_rank.config.keys import SIDES
from tvm_rank.config.reader import Section, describe, did_you_mean, one_of
from tvm_rank.config.spec import Field

DEFAULT_SEPARATOR = "\x1d"
WANTED = {"feature": "the name of a feature", "const": "a text"}


def separators(section: Section, default: str, key: str = "separator") -> tuple[str, ...]:
    """chr(29), and the configured separator if it is another: it splits in addition."""
    separator = section.text(key, default)
    if len(separator) != 1 or not separator.isascii():
        section.problem(key, f"wanted exactly one ASCII character, got {describe(separator)}")
        return (DEFAULT_SEPARATOR,)
    return (DEFAULT_SEPARATOR,) if separator == DEFAULT_SEPARATOR else (DEFAULT_SEPARATOR, separator)


def read_field(section: Section, key: str) -> tuple[Field, ...]:
    """The one input that `key` names; () when it is wrong."""
    text = section.required_text(key, "name an input column, for example 'user:age'")
    field = _field(section, key, text) if text else None
    return (field,) if field else ()


def read_fields(section: Section, key: str = "expression", *, minimum: int = 2) -> tuple[Field, ...]:
    """The inputs that `key` lists, at least `minimum` of them; those that are wrong are left out."""
    if key not in section:
        section.missing(key, "name the input columns, for example ['user:city', 'item:category']")
        return ()
    values = section.get(key)
    if not isinstance(values, list) or len(values) < minimum:
        got = describe(values) if not isinstance(values, list) else f"a list of {len(values)}"
        count = {1: "one input column", 2: "two input columns"}.get(minimum, f"{minimum} input columns")
        section.problem(key, f"wanted a list of at least {count}, got {got}")
        return ()
    fields = []
    for index, value in enumerate(values):
        if isinstance(value, str):
            fields.append(_field(section, key, value, f"at [{index}]: "))
        else:
            section.problem(key, f"at [{index}]: wanted text, got {describe(value)}")
    return tuple(field for field in fields if field)


def _field(section: Section, key: str, text: str, place: str = "") -> Field | None:
    side, colon, name = text.partition(":")
    if not colon or side not in SIDES:
        hint = did_you_mean(side, SIDES) if colon else ""
        section.problem(key, f"{place}wanted side:name with the side {one_of(SIDES)}, got {text!r}{hint}")
    elif not name:
        section.problem(key, f"{place}wanted {WANTED.get(side, 'the name of a column')} after '{side}:'")
    else:
        return Field(side=side, name=name)
    return None
