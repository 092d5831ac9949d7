"""compile_features: a feature configuration alone, compiled to a program that gives the features themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tvm_rank.config.generated import of_generated
from tvm_rank.config.load import load_config
from tvm_rank.config.spec import Feature, FeatureConfig
from tvm_rank.host.before import chain_of
from tvm_rank.host.plan import plan_host
from tvm_rank.host.stage import HostFunctions
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.chain import ChainedProgram
from tvm_rank.runtime.program import FeatureProgram, IdEntry, ProgramPlan, Refusal

if TYPE_CHECKING:
    from te_schedules.feature import Column

# a batch has many rows, and each column its own place in memory, so that longer runs in one are quicker (than with 64 by a fifth)
BLOCK_ROWS = 256


def compile_features(
    fg: Mapping[str, Any] | str | os.PathLike[str],
    hash_function: str | None = None,
    target: object = "cpu",
    base_dir: str | os.PathLike[str] = ".",
    threads: int | None = None,
    udfs: Sequence[Any] = (),
    bucketize_only: bool = False,
    dialect: str = "pyfg",
) -> FeatureProgram:
    """Compile the features of a configuration.

    fg: fg.json as a dict, or its path · hash_function: "std" or "farm"; None takes the configuration's own, "std" if it has none ·
    target: see `tvm_rank.target`; it must run here · base_dir: where the configuration's files (vocabularies) lie · threads: how many
    threads a call uses (None: all cores) · udfs: functions (`tvm_rank.udf`) that the configuration names · bucketize_only: the columns
    are feature values that were generated before, one for each feature under its name, and are only bucketized · dialect: "pyfg", or
    "rtp" for files of the older engine.

    Raises ConfigError with all problems of the configuration, TargetError for a target that does not run here.
    """
    config = load_config(fg, hash_function=hash_function, base_dir=base_dir, udfs=udfs, dialect=dialect)
    return program_of(of_generated(config) if bucketize_only else config, target, threads)


def program_of(config: FeatureConfig, target: object = "cpu", threads: int | None = None) -> FeatureProgram:
    """The program of a loaded configuration."""
    links, last = chain_of(config)
    programs = [_one_program(one, target, threads) for one in (*(link.config for link in links), last)]
    program = programs[0]
    for link, then in zip(links, programs[1:], strict=True):
        program = ChainedProgram(program, then, link.made)
    return program


def _one_program(config: FeatureConfig, target: object, threads: int | None) -> FeatureProgram:
    import tvm

    from te_schedules.column_group import kernel, ragged
    from te_schedules.lower import PIPELINE
    from tvm_rank.lowering import column_of, made_beside
    from tvm_rank.lowering.fields import FieldTable
    from tvm_rank.target import resolve

    tvm_runtime.load()
    resolved = resolve(target)
    hosted = plan_host(config)
    config = hosted.config
    table = FieldTable(config.features)
    lowered = {feature.name: column_of(feature, table, config.hash_function) for feature in config.features}
    columns = [lowered[feature.name] for feature in config.features if not feature.stub]
    producers = lowered | made_beside(table)
    knobs = kernel.Knobs(block_rows=BLOCK_ROWS)
    module, layouts = ragged.module(columns, producers, max(1, len(table.uses)), knobs)
    library = tvm.tirx.build(module, target=resolved.tvm_target, pipeline=PIPELINE)
    plan = ProgramPlan(
        uses=table.uses,
        **_outputs(columns),
        constants={name: (layout.ints, layout.floats, layout.bytes) for name, layout in layouts.items()},
        refusals={name: refusals_of(layout.refusals, config.features) for name, layout in layouts.items()},
        block_rows=knobs.block_rows,
    )
    return FeatureProgram(
        plan,
        {name: library[name] for name in (*layouts, "check_columns", *(["copy_pieces"] if plan.ids else []))},
        threads,
        HostFunctions.open(hosted.stages, hosted.files),
    )


def _outputs(columns: Sequence[Column]) -> dict[str, Any]:
    """What a plan says of the columns: all of them by name, then those of each form in kernel order."""
    from te_schedules.column_group.op import dimension

    of_numbers = [column for column in columns if not column.kind.yields_ids and not column.kind.yields_texts]
    of_ids = [column for column in columns if column.kind.yields_ids]
    return {
        "features": tuple(column.name for column in columns),
        "ids": tuple(IdEntry(column.name, column.kind.has_weights, column.sequence is not None) for column in of_ids),
        "texts": tuple((column.name, column.kind.has_weights) for column in columns if column.kind.yields_texts),
        "numbers": tuple((column.name, dimension(column)) for column in of_numbers if column.sequence is None),
        "sequences": tuple((column.name, dimension(column)) for column in of_numbers if column.sequence is not None),
    }


def refusals_of(names: Sequence[str], features: Sequence[Feature]) -> tuple[Refusal, ...]:
    """Why each of these features refuses a row."""
    from te_schedules.column_group.layout import ANY
    from tvm_rank.lowering.fields import TEXT_OF

    by_name = {feature.name: feature for feature in features}
    known = (name if name in by_name else name.removeprefix(TEXT_OF) for name in names)
    return tuple(Refusal(feature=name, rule="" if name == ANY else by_name[name].refusal) for name in known)
