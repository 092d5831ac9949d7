"""custom_feature in fg.json: a user-defined function, or one of those that ship, over the values of several fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tvm_rank.config import typed_numbers
from tvm_rank.config.expression import parse
from tvm_rank.config.inputs import read_field, read_fields
from tvm_rank.config.keys import COMMON, ID_BUCKETIZERS, IDS
from tvm_rank.config.outputs import read_ids
from tvm_rank.config.reader import Section, describe, did_you_mean
from tvm_rank.config.spec import Field
from tvm_rank.config.typed_numbers import TypedNumbers, read_typed_numbers, read_value_dim
from tvm_rank.errors import UdfError
from tvm_rank.functions import formula
from tvm_rank.functions.builtin import BUILTIN, EDIT_DISTANCE, ENCODINGS, SEQ_EXPR
from tvm_rank.functions.function import Udf
from tvm_rank.functions.program import Program, compile_udf

KEYS = (
    "expression", "operator_name", "operator_lib_file", "is_op_thread_safe", "encoding", "formula", *IDS, *typed_numbers.KEYS,
)  # fmt: skip
TEXT_KEYS = tuple(key for key in ID_BUCKETIZERS if key != "num_buckets")


@dataclass(frozen=True, kw_only=True)
class CustomFeature(TypedNumbers):
    """custom_feature: the results of `program` for the values of `fields`, its parameters in order.

    `function` is the definition: a Python function of the same arguments. With `as_texts` the results are texts (integers in decimal),
    bucketized behind `prefix` ("" or "<name>_"); otherwise they are numbers.
    """

    stem: ClassVar[str] = "custom_feature"

    operator: str
    program: Program
    function: Callable[..., Any]
    as_texts: bool = False
    prefix: str = ""

    @property
    def numbers(self) -> int:
        """`value_dim` of them; 0 for texts."""
        return 0 if self.as_texts else self.value_dim

    @property
    def splits_all_inputs(self) -> bool:
        """True for SeqExpr, which splits its inputs itself."""
        return self.operator == SEQ_EXPR

    @property
    def refusal(self) -> str:
        """What a row cannot have."""
        wanted = f", and {self.value_dim} result{'s' if self.value_dim != 1 else ''} a row (value_dim)" if self.value_dim else ""
        return (
            f"wants inputs with one value, or all the same number of them{wanted}; or the function {self.operator!r} takes too much "
            "time or memory for this row"
        )


@dataclass(frozen=True)
class _Operator:
    program: Program
    function: Callable[..., Any]


def extra_keys(section: Section) -> tuple[str, ...]:
    """The options of the function that the feature names."""
    name = section.get("operator_name") if "operator_name" in section else None
    udf = section.operators.get(name) if isinstance(name, str) else None
    return tuple(udf.options) if udf else ()


def read(section: Section, common: dict[str, Any], base_dir: Path) -> CustomFeature:
    """The feature."""
    is_list = "expression" in section and isinstance(section.get("expression"), list)
    fields = read_fields(section, minimum=1) if is_list else read_field(section, "expression")
    section.text("operator_lib_file", "")  # of the engine that this format comes from: nothing is loaded
    section.boolean("is_op_thread_safe", False)
    operator = _operator(section, fields)
    returns = operator.program.returns
    as_texts = returns == "text" or (returns in ("int", "ints") and any(key in section for key in TEXT_KEYS))
    outputs = _texts(section, common, base_dir) if as_texts else _numbers(section, common, returns)
    return CustomFeature(
        **common,
        **outputs,
        fields=fields,
        operator=operator.program.name,
        program=operator.program,
        function=operator.function,
        as_texts=as_texts,
    )


def _texts(section: Section, common: dict[str, Any], base_dir: Path) -> dict[str, Any]:
    for key in ("normalizer", "boundaries"):
        if key in section:
            section.problem(key, "is for functions that return numbers, and this one returns text; remove it")
    return read_ids(section, common["name"], base_dir, joined=False)


def _numbers(section: Section, common: dict[str, Any], returns: str) -> dict[str, Any]:
    hashed = returns in ("float", "floats")
    for key in ("vocab_list", "vocab_dict", "vocab_file", "default_bucketize_value"):
        if key in section:
            section.problem(key, f"is for texts and integers, and the function returns {returns}; use boundaries")
    has_ids = any(key in section for key in ("boundaries", "num_buckets", "hash_bucket_size"))
    value_dim = read_value_dim(section, has_ids=has_ids)
    return read_typed_numbers(section, common, hashed=hashed, value_dim=value_dim)


def _operator(section: Section, fields: tuple[Field, ...]) -> _Operator:
    """The function that the feature names; one that gives 0 when it is wrong (noted)."""
    names = tuple(field.name for field in fields)
    nothing = _Operator(Program(name="", parameters=(), scalars=(), returns="float", variables=(), body=()), float)
    known = dict.fromkeys((*BUILTIN, *section.operators))
    name = section.required_text("operator_name", f"name the function: {', '.join(known)}, or one that you give as `udfs`")
    if not name:
        return nothing
    if name not in known:
        near = did_you_mean(name, known)
        section.problem(
            "operator_name",
            f"no function {name!r} is known{near}; give it as `udfs` (--functions on the command line), or use one of {', '.join(known)}",
        )
        return nothing
    own = [key for key, owner in (("encoding", EDIT_DISTANCE), ("formula", SEQ_EXPR)) if key in section and name != owner]
    for key in own:
        if name not in section.operators or key not in section.operators[name].options:
            section.problem(key, f"is no option of {name!r}; remove it")
    if name in section.operators:
        return _compiled(section, section.operators[name], len(fields)) or nothing
    if name == EDIT_DISTANCE:
        encoding = section.choice("encoding", tuple(ENCODINGS), "utf-8", {"utf8": "utf-8", "latin1": "latin", "latin-1": "latin"})
        return _compiled(section, ENCODINGS[encoding], len(fields)) or nothing
    return _seq_expr(section, names) or nothing


def _compiled(section: Section, udf: Udf, count: int) -> _Operator | None:
    if "expression" in section and count != len(udf.parameters):
        wanted = ", ".join(f"{parameter.name}: {parameter.kind}" for parameter in udf.parameters)
        section.problem("expression", f"{udf.name!r} takes {len(udf.parameters)} inputs ({wanted}), got {count}")
        return None
    options = _options(section, udf.options)
    try:
        program = compile_udf(udf, options)
    except UdfError as error:
        section.problem("operator_name", str(error))
        return None
    return _Operator(program, lambda *values: udf.function(*values, **dict(udf.options) | options))


def _options(section: Section, defaults: Mapping[str, Any]) -> dict[str, Any]:
    options = {}
    for key, default in defaults.items():
        if key not in section:
            continue
        value = section.get(key)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is type(default):
            options[key] = value
        else:
            section.problem(key, f"wanted a {type(default).__name__} as its default {default!r} is, got {describe(value)}")
    return options


def _seq_expr(section: Section, names: tuple[str, ...]) -> _Operator | None:
    text = section.required_text("formula", "write a formula over the inputs' names, or spherical_distance")
    if not text or not names:
        return None
    if text == formula.SPHERICAL_DISTANCE:
        if len(names) != 4:
            section.problem(
                "formula", f"spherical_distance takes 4 inputs (longitude, latitude, longitude, latitude), got {len(names)}"
            )
            return None
        tree = formula.distance_tree(names)
    else:
        try:
            tree = parse(text, names)
        except ValueError as error:
            section.problem("formula", str(error))
            return None
    return _Operator(formula.program_of(tree, names), formula.function_of(tree, names))


__all__ = ["COMMON", "KEYS", "CustomFeature", "extra_keys", "read"]
