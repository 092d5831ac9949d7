"""A host stage: one library call over one column, before the compiled kernels; and the stages of a program, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tvm_rank.errors import InputError, RankError
from tvm_rank.host import regex_replace_feature, text_normalizer, tokenize_feature
from tvm_rank.host.texts import Convert, Texts, convert_distinct, elements_of, read_texts, with_default, with_prefix

OPERATIONS: dict[str, Callable[[Mapping[str, Any], Mapping[str, bytes]], Convert]] = {
    "regex_replace_feature": regex_replace_feature.opened,
    "text_normalizer": text_normalizer.opened,
    "tokenize_feature": tokenize_feature.opened,
}
ONE_TEXT = ("tokenize_feature",)  # they give several values a text, so a row has one
REQUEST, ITEM = "user", "item"


@dataclass(frozen=True, kw_only=True)
class HostStage:
    """One stage.

    feature: whose it is, for messages · operation: a name of OPERATIONS · side: "user" or "item" (one row per request, or per item) ·
    input: the column it reads, of the request or of an earlier stage · output: the column it makes · splitting: characters that split a
    text into values before the operation, "" for none · as_lists: a row with one text gives a list of its one result · default_before: the
    text that stands for a missing one · default_after: the result of a row that has none; null leaves it missing · prefix: put before each
    result, not before the default · delimiter, length: of a sequence, what separates the elements of a text, and how many are kept (0: all);
    "" for no sequence · parameters, files: of the operation; `files` maps a role to a name.
    """

    feature: str
    operation: str
    library: str
    library_version: str
    side: str
    input: str
    output: str
    delimiter: str
    length: int
    splitting: str
    as_lists: bool
    default_before: str | None
    default_after: str | None
    prefix: str
    parameters: Mapping[str, Any]
    files: Mapping[str, str]


def columns_before(stages: Sequence[HostStage], read: Iterable[str], side: str | None = None) -> tuple[str, ...]:
    """The columns that must be there for kernels that read the columns `read`, and for the stages (of one side, if given)."""
    made = {stage.output for stage in stages}
    inputs = [stage.input for stage in stages if side in (None, stage.side)]
    return tuple(name for name in dict.fromkeys((*read, *inputs)) if name not in made)


@dataclass(frozen=True, eq=False)
class HostFunctions:
    """The stages of a program, opened: their libraries are loaded."""

    stages: tuple[HostStage, ...]
    _functions: tuple[Convert, ...] = field(repr=False)

    @classmethod
    def open(cls, stages: Sequence[HostStage], files: Mapping[str, bytes]) -> HostFunctions:
        """Load the libraries; `files` has the contents by name. Raises RankError when a library is missing or a file is damaged."""
        functions = []
        for stage in stages:
            contents = {role: files[name] for role, name in stage.files.items()}
            try:
                functions.append(OPERATIONS[stage.operation](stage.parameters, contents))
            except tokenize_feature.ModelFileError as error:
                raise RankError(f"feature {stage.feature!r}: {error}") from error
        return cls(tuple(stages), tuple(functions))

    def run(self, column: Callable[[str], pa.Array], where: str, side: str | None = None) -> dict[str, pa.Array]:
        """The columns that the stages make (those of one side, if given); `column(name)` gives those of the request.

        Raises InputError for a column of a wrong type, or a text that an operation refuses.
        """
        made: dict[str, pa.Array] = {}
        for stage, function in zip(self.stages, self._functions, strict=True):
            if side in (None, stage.side):
                given = made[stage.input] if stage.input in made else column(stage.input)
                made[stage.output] = run_stage(stage, function, given, where)
        return made


NO_STAGES = HostFunctions((), ())


def run_stage(stage: HostStage, function: Convert, column: pa.Array, where: str) -> pa.Array:
    """The column that a stage makes of another; of a sequence, a list of what it makes of the elements of each row."""
    if stage.delimiter:
        elements, offsets = elements_of(column, f"{where} {stage.input!r}", stage.delimiter, stage.length)
        return pa.ListArray.from_arrays(offsets, _run_rows(stage, function, elements, where))
    return _run_rows(stage, function, column, where)


def _run_rows(stage: HostStage, function: Convert, column: pa.Array, where: str) -> pa.Array:
    place = f"{where} {stage.input!r} (read by {stage.operation} {stage.feature!r})"
    texts = read_texts(column, place, stage.splitting)
    if stage.operation in ONE_TEXT and texts.offsets is not None:
        raise InputError(f"{place}: got {column.type}; {stage.operation} takes one text a row; join the texts before")
    try:
        values = _values(stage, function, texts)
    except RankError as error:
        raise InputError(f"feature {stage.feature!r}: {error}") from error
    except Exception as error:
        raise InputError(f"feature {stage.feature!r}: {stage.library} failed on {where} {stage.input!r}: {error}") from error
    column = texts.rewrapped(values, as_lists=stage.as_lists)
    return column if stage.default_after is None else with_default(column, stage.default_after)


def _values(stage: HostStage, function: Convert, texts: Texts) -> pa.Array:
    flat = texts.flat if stage.default_before is None else pc.fill_null(texts.flat, stage.default_before)
    values = convert_distinct(flat, function)
    return with_prefix(values, stage.prefix) if stage.prefix else values
