"""A udf, compiled as far as it can be without a target: its typed program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tvm_rank.functions.expressions import Unknown
from tvm_rank.functions.function import SCALARS, Udf
from tvm_rank.functions.statements import Statements
from tvm_rank.functions.types import OF_ANNOTATION

MAX_WALKS = 50  # over a function until no type of a variable changes; a type can change three times


@dataclass(frozen=True, kw_only=True)
class Program:
    """parameters: (name, type), in order · scalars: whether each takes one value of a row (broadcast), not the list of them · returns:
    a type · variables: (name, type) of all locals · body: statements. `te_schedules/udf/__init__.py` describes them."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    scalars: tuple[bool, ...]
    returns: str
    variables: tuple[tuple[str, str], ...]
    body: tuple


def compile_udf(udf: Udf, options: Mapping[str, Any] | None = None) -> Program:
    """The program of a udf with these values of its options. Raises UdfError with file and line for what is not in the subset."""
    values = dict(udf.options) | dict(options or {})
    types = {parameter.name: OF_ANNOTATION[parameter.kind] for parameter in udf.parameters}
    known: dict[str, Any] = dict(types)
    for _ in range(MAX_WALKS):
        before = dict(known)
        walk = Statements(udf, known, values, OF_ANNOTATION[udf.returns], final=False)
        walk.run()
        if known == before:
            break
    final = Statements(udf, known, values, OF_ANNOTATION[udf.returns], final=True)
    try:
        body = final.run()
    except Unknown as error:
        raise udf.refuse(
            udf.node, f"the type of {error} cannot be found; annotate it, for example `{error}: list[int] = []`"
        ) from error
    return Program(
        name=udf.name,
        parameters=tuple(types.items()),
        scalars=tuple(parameter.kind in SCALARS for parameter in udf.parameters),
        returns=OF_ANNOTATION[udf.returns],
        variables=tuple((name, str(kind)) for name, kind in known.items() if name not in types),
        body=body,
    )
