"""Parts on a Ray cluster: each worker compiles the features once, and makes the parts that Ray Data hands it.

The files and the output folder must be where all machines of the cluster see them under the same path. Parts, names and contents are
those of a local run, so a run may be begun on one engine and continued on the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from tvm_rank.errors import RankError
from tvm_rank.transform.part import GroupError, Part, PartMaker, PartResult, Settings
from tvm_rank.transform.plan import Configuration


class _Worker:
    """An actor: its program, made once."""

    def __init__(self, configuration: Configuration, settings: Settings, target: object):
        from tvm_rank.features import program_of

        self._maker = PartMaker(settings, program_of(configuration.config, target, threads=1))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """{"part": parts} -> {"result": a JSON text for each}; Ray Data moves columns of plain values best."""
        import json

        import numpy as np

        texts = [json.dumps(dataclasses.asdict(self._make(text))) for text in batch["part"]]
        return {"result": np.array(texts, dtype=object)}

    def _make(self, text: str) -> PartResult:
        return self._maker.make(decode_part(text))


def encode_part(part: Part) -> str:
    """A part as JSON."""
    import json

    return json.dumps(dataclasses.asdict(part))


def decode_part(text: str) -> Part:
    """The part of a JSON text."""
    import json

    from tvm_rank.transform.source import Source

    data = json.loads(text)
    source = data.pop("source")
    source |= {"group_bytes": tuple(source["group_bytes"]), "group_rows": tuple(source["group_rows"])}
    return Part(source=Source(**source), **data)


def results(
    parts: Sequence[Part], configuration: Configuration, settings: Settings, target: object, workers: int | None
) -> Iterator[PartResult]:
    """Make the parts on the cluster that this process is connected to (RAY_ADDRESS), or on a local one.

    Raises RankError when Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RankError(f"--engine ray needs Ray ({error}); install it with: pip install 'tvm-rank[ray]'") from error
    import json

    if not parts:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    count = max(1, min(workers or int(ray.cluster_resources().get("CPU", 1)), len(parts)))
    rows = ray.data.from_items([{"part": encode_part(part)} for part in parts], override_num_blocks=len(parts))
    made = rows.map_batches(
        _Worker,
        fn_constructor_args=(configuration, settings, target),
        batch_size=1,
        concurrency=count,
        num_cpus=1,
    )
    for row in made.iter_rows():
        data = json.loads(row["result"])
        errors = tuple(GroupError(**error) for error in data.pop("errors"))
        yield PartResult(**data, errors=errors)
