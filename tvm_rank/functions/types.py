"""The types of a program, and how they meet. See `te_schedules/udf/__init__.py`."""

from __future__ import annotations

Type = str | None  # None: not known yet
Expression = tuple

NUMBERS = ("bool", "int", "float")  # each one is also the next
TEXTS = ("char", "text")
EMPTY = "empty"  # a list of which nothing is known
ELEMENT = {"ints": "int", "floats": "float", "bools": "bool", "texts": "text", "text": "char", "bytes": "int"}
LIST_OF = {"int": "ints", "float": "floats", "bool": "bools"}
LISTS = ("ints", "floats", "bools", "texts")
SEQUENCES = (*LISTS, "text", "bytes")
OF_ANNOTATION = {
    "int": "int", "float": "float", "bool": "bool", "str": "text", "bytes": "bytes", "list[int]": "ints", "list[float]": "floats",
    "list[bool]": "bools", "list[str]": "texts",
}  # fmt: skip
ANNOTATION = {kind: text for text, kind in OF_ANNOTATION.items()} | {"char": "str", EMPTY: "list", None: "?"}


def join(a: Type, b: Type) -> Type:
    """The type that has the values of both; "" when there is none."""
    if a is None or b is None or a == b:
        return a if b is None else b
    for chain in (NUMBERS, TEXTS):
        if a in chain and b in chain:
            return chain[max(chain.index(a), chain.index(b))]
    if EMPTY in (a, b):
        other = b if a == EMPTY else a
        return other if other in LISTS else ""
    if a in LISTS and b in LISTS and "texts" not in (a, b):
        return LIST_OF[str(join(ELEMENT[a], ELEMENT[b]))]
    return ""


def converted(value: Expression, kind: str) -> Expression | None:
    """The expression as another type; None when it has no value of it without changing a list."""
    have = value[1]
    if have == kind:
        return value
    if have == EMPTY and kind in LISTS:
        return ("list", kind, *value[2:])
    if kind in LISTS and have in LISTS and value[0] in ("list", "repeat"):  # a new list, that nothing else sees
        items = value[2:] if value[0] == "list" else value[2:3]
        changed = [converted(item, ELEMENT[kind]) for item in items]
        if any(item is None for item in changed):
            return None
        return ("list", kind, *changed) if value[0] == "list" else ("repeat", kind, changed[0], value[3])
    if join(have, kind) != kind:
        return None
    if value[0] == "const" and kind in NUMBERS:
        number = float.fromhex(value[2]) if have == "float" else value[2]
        return ("const", kind, float(number).hex() if kind == "float" else int(number))
    if have == "bool" and kind == "float":
        value = ("convert", "int", value)
    return ("convert", kind, value)


def constant(value: bool | int | float | str) -> Expression:
    """A constant of Python; a text of one character is a char."""
    if isinstance(value, bool):
        return ("const", "bool", value)
    if isinstance(value, int):
        return ("const", "int", value)
    if isinstance(value, float):
        return ("const", "float", value.hex())
    return ("const", "char" if len(value) == 1 else "text", value)
