"""expr_feature in fg.json: a formula over the numbers of several fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config import typed_numbers
from tvm_rank.config.expression import ARITY, CONSTANTS, VECTOR_ARITY, parse
from tvm_rank.config.inputs import read_fields
from tvm_rank.config.nodes import Node, Number
from tvm_rank.config.number import parse_float
from tvm_rank.config.reader import Section, describe, number_of
from tvm_rank.config.spec import Field
from tvm_rank.config.typed_numbers import TypedNumbers, read_typed_numbers, read_value_dim

KEYS = ("expression", "variables", "fill_missing", "hash_bucket_size", *typed_numbers.KEYS)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class ExprFeature(TypedNumbers):
    """expr_feature: `formula` (its tree: `tree`) over `variables`, the names of the fields in their order.

    `fill_missing` is the number of a variable that a row lacks; None: such a row is missing.
    """

    stem: ClassVar[str] = "expr_feature"

    formula: str
    tree: Node
    variables: tuple[str, ...]
    fill_missing: float | None = None

    @property
    def refusal(self) -> str:
        """Lengths that do not fit."""
        count = f"{self.value_dim} value{'s' if self.value_dim != 1 else ''} a row (value_dim)" if self.value_dim else "values"
        return f"wants {count} from variables that have one value, or all the same number of them; this row has others"


def read(section: Section, common: dict[str, Any], base_dir: Path) -> ExprFeature:
    """The feature."""
    del base_dir  # no file is named
    fields = read_fields(section, "variables", minimum=1)
    names = _names(section, fields)
    formula = section.required_text("expression", "write a formula over the variables, for example 'a + b'")
    has_ids = any(key in section for key in ("boundaries", "num_buckets", "hash_bucket_size"))
    return ExprFeature(
        **common,
        **read_typed_numbers(section, common, hashed=True, value_dim=read_value_dim(section, has_ids=has_ids)),
        fields=fields,
        formula=formula,
        tree=_tree(section, formula, names),
        variables=names,
        fill_missing=_fill_missing(section),
    )


def _names(section: Section, fields: tuple[Field, ...]) -> tuple[str, ...]:
    names = tuple(field.name for field in fields)
    for index, name in enumerate(names):
        if name in ARITY or name in VECTOR_ARITY or name in CONSTANTS:
            section.problem("variables", f"at [{index}]: {name!r} is the name of a function or constant; rename the column")
        elif not _NAME.fullmatch(name):
            section.problem(
                "variables", f"at [{index}]: {name!r} cannot stand in a formula; rename the column (letters, digits, _)"
            )
        elif name in names[:index]:
            section.problem("variables", f"at [{index}]: a second variable {name!r}; rename a column")
    return names


def _tree(section: Section, formula: str, names: tuple[str, ...]) -> Node:
    try:
        if formula and names:
            return parse(formula, names, vectors=True)
    except ValueError as error:
        section.problem("expression", str(error))
    return Number(0.0)


def _fill_missing(section: Section) -> float | None:
    if "fill_missing" not in section:
        return None
    given = section.get("fill_missing")
    value = parse_float(given.encode()) if isinstance(given, str) else number_of(given)
    if value is None:
        section.problem("fill_missing", f"wanted a number or 'NaN' (no filling), got {describe(given)}")
    return None if value is None or value != value else value
