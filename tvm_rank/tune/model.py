"""What is tuned: a compiled model, and what of it can be measured."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvm_rank.artifact import store
from tvm_rank.artifact.artifact import Artifact
from tvm_rank.artifact.manifest import Manifest
from tvm_rank.errors import ArtifactError, RankError, TuningError
from tvm_rank.plan.steps import Plan
from tvm_rank.precision import Samples
from tvm_rank.runtime.this_machine import check_machine
from tvm_rank.target import CUDA, HOST, PRESETS, ResolvedTarget, resolve
from tvm_rank.tune.gpu_task import gpu_dense_tasks
from tvm_rank.tune.requests import RequestData
from tvm_rank.tune.task import Task, dense_tasks

Given = Artifact | str | os.PathLike[str] | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A compiled model. artifact: None when only its folder was given · folder: where it lies, None for one in memory alone · inputs: the
    arguments of `compile` that it was made with, None when they are not known."""

    manifest: Manifest
    plan: Plan
    artifact: Artifact | None = None
    folder: pathlib.Path | None = None
    inputs: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, given: Given) -> Model:
        """An artifact in memory, its folder, or the arguments of `compile`. Raises ArtifactError, or what `compile` does."""
        if isinstance(given, Mapping):
            from tvm_rank.compiler import compile

            made = compile(**given)
            return cls(manifest=made.manifest, plan=made.plan, artifact=made, inputs=given)
        if isinstance(given, Artifact):
            return cls(manifest=given.manifest, plan=given.plan, artifact=given)
        folder = pathlib.Path(given)
        manifest = store.read(folder, verify=False)
        path = folder / store.PLAN
        if not path.is_file():
            raise ArtifactError(f"{folder}: has no plan; compile the artifact again")
        return cls(manifest=manifest, plan=Plan.from_json(path.read_text(encoding="utf-8"), str(path)), folder=folder)

    def target(self) -> ResolvedTarget:
        """The target that it was compiled for."""
        name = self.manifest.target
        return resolve(name if name == HOST or name in PRESETS or name.startswith(CUDA) else self.manifest.tvm_target)

    def dense_tasks(self) -> list[Task]:
        """Its dense layers, which need nothing but the manifest."""
        on_requests = self._request_kernels()
        of_gpu = gpu_dense_tasks(self.manifest.kernels, on_requests)
        return [*dense_tasks(self.manifest.kernels, on_requests), *of_gpu]

    def not_live(self) -> str:
        """Why its other kernels cannot be measured within requests; "" if they can."""
        if why := self._without_features():
            return why
        try:
            check_machine(self.manifest, "the model")
        except RankError as error:
            return str(error)
        return ""

    def not_packed(self) -> str:
        """Why its kernels of features cannot be measured on servers; "" if they can."""
        if why := self._without_features():
            return why
        if self.manifest.links:
            return "library calls read compiled features, which servers do not have"
        assert self.artifact is not None
        made = {stage.output for stage in self.manifest.host_stages}
        if (stored := self.artifact.items) is not None:
            kept = {use.name for use in self.manifest.item_fields if not use.is_request} - {*stored, *made}
            if kept:
                return f"the item store keeps {', '.join(sorted(kept))} in the place of fields, which servers do not have"
        return ""

    def _without_features(self) -> str:
        if self.artifact is None or self.artifact.before_kernels is None:
            return "an artifact's folder does not have what they are built from; give --features and --model"
        return ""

    def live_tasks(self, folder: pathlib.Path, requests: RequestData, threads: int) -> list[Task]:
        """Its kernels of features, attention units and trees, run within these requests by the artifact at `folder`."""
        from tvm_rank.tune.live_task import Place, live_tasks

        assert self.artifact is not None
        assert self.artifact.before_kernels is not None
        place = Place(artifact=folder, requests=requests, threads=threads)
        return live_tasks(self.artifact.before_kernels(), self.manifest.schedule, place)

    def packed_tasks(self, folder: pathlib.Path, requests: RequestData, threads: int) -> list[Task]:
        """Its kernels of features and trees, for servers, which get these requests packed; the artifact lies at `folder`."""
        from tvm_rank.tune.packed import Packer
        from tvm_rank.tune.packed_task import packed_tasks

        assert self.artifact is not None
        assert self.artifact.before_kernels is not None
        packer = Packer(manifest=self.manifest, folder=folder, data=requests, items=self.artifact.items)
        schedule, once = self.manifest.schedule, self._request_kernels()
        return packed_tasks(self.artifact.before_kernels(), schedule, packer, self.target(), threads, once)

    def _request_kernels(self) -> set[str]:
        """The kernels that run once for a request."""
        on_items = {step.operator for step in self.plan.kernels if step.rows.items}
        return {step.operator for step in self.plan.kernels} - on_items

    def requests(self, given: Samples | None) -> RequestData:
        """The requests to measure on: those that were given, or the samples of the artifact. Raises TuningError when there are neither."""
        if given is not None:
            return RequestData.of(given)
        assert self.artifact is not None
        if self.artifact.samples is None or not len(self.artifact.samples.item_request):
            raise TuningError("the model has no sample requests; give some with --requests")
        return RequestData.of_artifact(self.artifact.samples, self.manifest.samples[0].source)


def chosen(tasks: Sequence[Task], names: Sequence[str], note: str = "") -> list[Task]:
    """All tasks, or those with these names; `note`: which there are not, and why. Raises TuningError when there are none."""
    note = f"; {note}" if note else ""
    known = {task.name for task in tasks}
    if unknown := sorted(set(names) - known):
        raise TuningError(f"no kernels {', '.join(unknown)} to tune; there are {', '.join(sorted(known)) or 'none'}{note}")
    if not (found := [task for task in tasks if not names or task.name in names]):
        raise TuningError(f"the model has no kernel that can be tuned{note}")
    return found
