"""fg.json -> FeatureConfig. Strict: what is not understood is refused, all of it at once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tvm_rank.config import keys
from tvm_rank.config.dag import resolve
from tvm_rank.config.features import FeatureReader
from tvm_rank.config.inputs import DEFAULT_SEPARATOR, separators
from tvm_rank.config.reader import Problems, Section, describe, did_you_mean
from tvm_rank.config.rtp import DIALECTS, PYFG, RTP
from tvm_rank.config.spec import Feature, FeatureConfig
from tvm_rank.errors import ConfigError

HASH_FUNCTIONS = ("std", "farm")
MAX_DEPTH = 50  # of lists and objects inside each other; a feature configuration needs 4


def load_config(
    fg: Mapping[str, Any] | str | os.PathLike[str],
    *,
    hash_function: str | None = None,
    base_dir: str | os.PathLike[str] = ".",
    udfs: Sequence[Any] = (),
    dialect: str = PYFG,
) -> FeatureConfig:
    """Read a feature configuration, given as the path of an fg.json or as its contents.

    hash_function: "std" or "farm"; wins over the file's own `hash_function`, which wins over the dialect's.
    dialect: "pyfg", or "rtp" for files of the older engine, whose hash is "farm" (docs/features.md, "The older dialect").
    base_dir: the folder that a `vocab_file` is relative to.
    udfs: functions (`tvm_rank.udf`) that a custom_feature can name as its `operator_name`.

    The keys and their meaning are in docs/features.md. Raises ConfigError with every problem, each with its path inside the file
    (`features[2].boundaries`), what was found and what was wanted.
    """
    source = "fg" if isinstance(fg, Mapping) else os.fspath(fg)
    problems: Problems = []
    contents = dict(fg) if isinstance(fg, Mapping) else _read(source, problems)
    if problems or not _check_json(contents, problems):
        raise ConfigError(source, problems)
    if not isinstance(contents, dict):
        raise ConfigError(source, [f"wanted an object with the key 'features', got {describe(contents)}"])
    top = Section(contents, "", problems)
    _check_keys(top)
    if dialect not in DIALECTS:
        problems.append(f"the argument dialect is {dialect!r}; allowed: {', '.join(DIALECTS)}")
    hashes = _hash_function(top, hash_function, "farm" if dialect == RTP else "std")
    reader = FeatureReader(Path(base_dir), separators(top, DEFAULT_SEPARATOR, "multi_val_sep")[-1])
    features = _features(top, reader, problems, _operators(udfs, source), dialect)
    if problems:
        raise ConfigError(source, problems)
    return FeatureConfig(features=tuple(features), hash_function=hashes, source=source)


def _read(source: str, problems: Problems) -> Any:
    """The JSON value of a file. Keys that an object has twice are problems: which one counts would be chance."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            names = [key for key, _ in pairs]
            problems.extend(f"an object has the key {key!r} twice; keep one" for key in values if names.count(key) > 1)
        return values

    try:
        return json.loads(Path(source).read_bytes().decode("utf-8-sig"), object_pairs_hook=unique)
    except OSError as error:
        problems.append(f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        problems.append(f"is not UTF-8 at byte {error.start}; save it as UTF-8")
    except json.JSONDecodeError as error:
        problems.append(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}")
    except RecursionError:
        problems.append(f"lists and objects are nested deeper than {MAX_DEPTH} levels")
    except ValueError as error:  # a NUL in the path, an integer of thousands of digits
        problems.append(f"cannot be read: {error}")
    return None


def _check_json(contents: Any, problems: Problems) -> bool:
    """Note what no JSON value of this kind may hold anywhere: other types, NaN, half characters, endless depth."""
    waiting: list[tuple[Any, str, int]] = [(contents, "", 0)]
    while waiting:
        value, path, depth = waiting.pop()
        if depth > MAX_DEPTH:
            problems.append(f"{path[:60]}...: lists and objects are nested deeper than {MAX_DEPTH} levels")
            return False
        if isinstance(value, dict):
            for key, inner in reversed(value.items()):
                if not isinstance(key, str) or not _is_unicode(key):
                    problems.append(f"{path or 'top level'}: the key {key!r} is not Unicode text")
                else:
                    waiting.append((inner, f"{path}.{key}" if path else key, depth + 1))
        elif isinstance(value, list):
            waiting.extend((inner, f"{path}[{k}]", depth + 1) for k, inner in reversed(list(enumerate(value))))
        elif problem := _scalar_problem(value):
            problems.append(f"{path or 'top level'}: {problem}")
    return not problems


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _scalar_problem(value: Any) -> str:
    if isinstance(value, str):
        return "" if _is_unicode(value) else f"{value!r} holds half of a surrogate pair, which has no UTF-8 form"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a number of JSON; write a finite one"
    return "" if value is None or isinstance(value, (bool, int)) else f"a Python {type(value).__name__} is not a value of JSON"


def _check_keys(top: Section) -> None:
    for key in top.known_keys():
        if key not in keys.TOP_KEYS and key not in keys.TOP_IGNORED:
            top.problem(key, f"unknown key{did_you_mean(key, (*keys.TOP_KEYS, *keys.TOP_IGNORED))}")


def _hash_function(top: Section, argument: str | None, default: str) -> str:
    from_file = top.choice("hash_function", HASH_FUNCTIONS, default)
    if argument is None:
        return from_file
    if argument not in HASH_FUNCTIONS:
        top.problem("hash_function", f"the argument is {argument!r}; allowed: {', '.join(HASH_FUNCTIONS)}")
    return argument


def _operators(udfs: Sequence[Any], source: str) -> dict[str, Any]:
    """The functions by name. Raises ConfigError for what is no function of `tvm_rank.udf`, or for a second one of a name."""
    operators: dict[str, Any] = {}
    for udf in udfs:
        name = getattr(udf, "name", None)
        if not isinstance(name, str) or not hasattr(udf, "parameters"):
            raise ConfigError(source, [f"udfs: {udf!r:.60} is no user-defined function; put @tvm_rank.udf before its `def`"])
        if operators.setdefault(name, udf) is not udf:
            raise ConfigError(source, [f"udfs: two functions have the name {name!r}; give one another: @tvm_rank.udf(name=...)"])
    return operators


def _features(top: Section, reader: FeatureReader, problems: Problems, operators: Mapping[str, Any], dialect: str) -> list[Feature]:
    if "features" not in top:
        problems.append("'features' is missing; write a list of features")
        return []
    values = top.get("features")
    if not isinstance(values, list) or not values:
        top.problem("features", f"wanted a list of at least one feature, got {describe(values)}")
        return []
    features: list[Feature] = []
    named: dict[str, str] = {}
    for index, value in enumerate(values):
        path = f"features[{index}]"
        if not isinstance(value, dict):
            problems.append(f"{path}: wanted an object, got {describe(value)}")
            continue
        for place, feature in reader.read_all(Section(value, path, problems, operators, dialect)):
            name = feature.name if feature else value.get("feature_name")
            if name and isinstance(name, str) and named.setdefault(name, place) != place:
                problems.append(f"{place}.feature_name: {name!r} is also the name of {named[name]}; names are unique")
            if feature:
                features.append(feature)
    _check_tables(features, problems)
    return resolve(features, problems)


def _check_tables(features: list[Feature], problems: Problems) -> None:
    """A table has one width, whoever looks into it."""
    first: dict[str, tuple[int, str]] = {}
    for feature in features:
        if feature.embedding:
            dim, path = first.setdefault(feature.embedding.table, (feature.embedding.dim, feature.path))
            if dim != feature.embedding.dim:
                problems.append(
                    f"{feature.path}.embedding_dim: {feature.embedding.dim}, but {path} looks into the same table "
                    f"{feature.embedding.table!r} with {dim}; give both one width, or another embedding_name"
                )
