"""transform_files: a feature configuration over files, part by part, on this machine or on a Ray cluster."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tvm_rank
from tvm_rank.errors import RankError
from tvm_rank.runtime import tvm_runtime
from tvm_rank.runtime.program import FeatureProgram
from tvm_rank.transform import plan
from tvm_rank.transform.fingerprint import fingerprint_of
from tvm_rank.transform.journal import Journal
from tvm_rank.transform.part import GroupError, Part, PartMaker, PartResult, Settings, Stopped
from tvm_rank.transform.source import Source

LOCAL, RAY = "local", "ray"
COMPRESSIONS = ("none", "snappy", "lz4", "zstd", "gzip")
POLL_SECONDS = 0.2
READING = ("hash_function", "base_dir", "dialect", "udfs")  # options of how fg.json is read


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a transform is. Bytes are those of the input files, those done by an earlier run included."""

    done_bytes: int
    all_bytes: int
    done_parts: int
    all_parts: int
    rows: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a transform did: `rows` and `bytes` in all files of the folder, `resumed` parts made by an earlier run."""

    parts: int
    resumed: int
    rows: int
    bytes: int
    seconds: float
    errors: tuple[GroupError, ...]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How files are transformed.

    keep: columns to copy beside the features, with the `reserves` of fg.json · lengths: also write `<feature>__lengths` · hash_function,
    base_dir, dialect, udfs: as for `tvm_rank.compile` · threads: parts made at once (None: all cores; on a Ray cluster all of its CPUs) ·
    rows: of a batch, which bounds memory (None: by the number of columns) · part_bytes: input groups smaller than this share an output
    file · engine: LOCAL or RAY · resume: go on where an earlier run of the same configuration and files stopped.
    """

    keep: tuple[str, ...] = ()
    lengths: bool = False
    hash_function: str | None = None
    base_dir: str | os.PathLike[str] | None = None
    dialect: str = "pyfg"
    udfs: tuple[Any, ...] = ()
    target: str = "cpu"
    threads: int | None = None
    rows: int | None = None
    part_bytes: int = plan.PART_BYTES
    compression: str = "none"
    engine: str = LOCAL
    resume: bool = False


DEFAULTS = Options()


def transform_files(
    fg: Mapping[str, Any] | str | os.PathLike[str],
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    options: Options = DEFAULTS,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Write the features of all rows of `inputs` (Parquet or Arrow files, folders) as Parquet files in the folder `out`.

    A group of rows with a row that a feature refuses is left out and listed in the summary's `errors`. Raises ConfigError, InputError
    for files that do not fit, and RankError when the folder cannot be used or holds another run. An interruption leaves whole parts.
    """
    started = time.monotonic()
    reading = {
        "hash_function": options.hash_function,
        "base_dir": options.base_dir,
        "dialect": options.dialect,
        "udfs": options.udfs,
    }
    configuration = plan.read_configuration(fg, **reading)  # type: ignore[arg-type]
    sources = plan.open_sources(inputs)
    hash_function = configuration.config.hash_function
    fingerprint = fingerprint_of(configuration.contents, hash_function, configuration.base_dir, options.udfs)
    parts = list(plan.cut_parts(files := [source for source, _ in sources], options.part_bytes))
    settings = plan.plan_settings(
        configuration,
        out=os.path.abspath(out),
        keep=options.keep,
        lengths=options.lengths,
        compression=options.compression,
        metadata=metadata_of(fingerprint, hash_function),
    )
    header = _header(fingerprint, settings, options, files)
    with Journal(pathlib.Path(settings.out), header, {part.number: part for part in parts}, resume=options.resume) as journal:
        run = _Run(parts, journal, progress)
        workers, each = _threads(options.threads, len(run.waiting))
        program = _compiled(configuration, options.target, each)
        settings = plan.with_reads(settings, program.fields, options.rows)
        plan.check_schemas(sources, settings.reads, settings.keeps)
        plan.check_batches(sources, settings, program)
        if options.engine == RAY:
            run.take(_on_ray(run.waiting, configuration, settings, options))
        else:
            run.take(_local(run.waiting, settings, program, workers, run.add_bytes))
        return run.summary(time.monotonic() - started)


def _on_ray(
    waiting: Sequence[Part], configuration: plan.Configuration, settings: Settings, options: Options
) -> Iterator[PartResult]:
    from tvm_rank.transform import ray_engine

    return ray_engine.results(waiting, configuration, settings, options.target, options.threads)


def _header(fingerprint: str, settings: Settings, options: Options, sources: Sequence[Source]) -> dict[str, Any]:
    """What must be as it was for a run to go on; the names stand in the message when it is not."""
    return {
        "feature configuration": fingerprint,
        "dialect": options.dialect,
        "tvm-rank version": tvm_rank.__version__,
        "list of columns to keep": list(settings.keeps),
        "setting of --lengths": options.lengths,
        "size of parts": options.part_bytes,
        "input": [[os.path.abspath(source.path), source.fingerprint] for source in sources],
    }


def metadata_of(fingerprint: str, hash_function: str) -> dict[str, str]:
    """What each output file says of itself."""
    return {
        "tvm_rank.fingerprint": fingerprint,
        "tvm_rank.hash_function": hash_function,
        "tvm_rank.version": tvm_rank.__version__,
    }


def _threads(threads: int | None, parts: int) -> tuple[int, int]:
    """(parts made at once, threads of a kernel): parts first, since reading and writing then also run side by side."""
    total = threads or tvm_runtime.cores()
    workers = max(1, min(total, parts))
    return workers, max(1, total // workers)


def _compiled(configuration: plan.Configuration, target: object, threads: int) -> FeatureProgram:
    from tvm_rank.features import program_of

    return program_of(configuration.config, target, threads)


class _Run:
    """The state of a run: what waits, and what is told to `progress`."""

    def __init__(self, parts: Sequence[Part], journal: Journal, progress: Callable[[Progress], None] | None):
        self._parts, self._journal, self._tell = parts, journal, progress
        self.resumed = len(journal.done)
        self.waiting = [part for part in parts if part.number not in journal.done]
        self._all_bytes = sum(part.input_bytes for part in parts)
        self._lock, self._bytes = threading.Lock(), sum(p.input_bytes for p in parts if p.number in journal.done)

    def add_bytes(self, count: int) -> None:
        """Note that so many bytes of input are done; from any thread."""
        with self._lock:
            self._bytes += count

    def take(self, results: Iterator[PartResult | None]) -> None:
        """Note results as they come (None: nothing new) until there are no more."""
        self._report()
        with contextlib.closing(results):  # type: ignore[type-var]
            for result in results:
                if result is not None:
                    self._journal.add(result)
                self._report()

    def _report(self) -> None:
        if self._tell:
            done = self._journal.done.values()
            self._tell(
                Progress(
                    done_bytes=self._bytes,
                    all_bytes=self._all_bytes,
                    done_parts=len(done),
                    all_parts=len(self._parts),
                    rows=sum(result.rows for result in done),
                    failed=sum(len(result.errors) for result in done),
                )
            )

    def summary(self, seconds: float) -> Summary:
        """What there is when all is done."""
        done = [self._journal.done[part.number] for part in self._parts]
        return Summary(
            parts=sum(1 for result in done if result.rows),
            resumed=self.resumed,
            rows=sum(result.rows for result in done),
            bytes=sum(result.bytes for result in done),
            seconds=seconds,
            errors=tuple(error for result in done for error in result.errors),
        )


def _local(
    parts: Sequence[Part], settings: Settings, program: FeatureProgram, workers: int, add_bytes: Callable[[int], None]
) -> Iterator[PartResult | None]:
    """Make the parts on threads of this process; gives None now and then, so that progress is told and Ctrl-C is seen."""
    stop, here = threading.Event(), threading.local()

    def make(part: Part) -> PartResult:
        if not hasattr(here, "maker"):
            here.maker = PartMaker(settings, program, stopped=stop.is_set, progress=add_bytes)
        return here.maker.make(part)

    with concurrent.futures.ThreadPoolExecutor(workers, "transform") as pool:
        waiting = {pool.submit(make, part) for part in parts}
        try:
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)
                yield from (future.result() for future in done)
                yield None
        except Stopped as error:
            raise RankError("a part was stopped") from error
        finally:
            stop.set()
            for future in waiting:
                future.cancel()
