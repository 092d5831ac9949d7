"""What a model input of a sequence must be: embeddings or numbers (N, L, d), ids (N, L), a mask (N, L), a length (N)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm_rank.config.spec import Feature
from tvm_rank.frontend.dense_model import ModelInput

MASK, LENGTH = "__mask", "__length"
SUFFIXES = (MASK, LENGTH)


def shape_text(entry: ModelInput) -> str:
    """`(N, 50, 32)`"""
    return f"({', '.join(['N', *map(str, entry.shape)])})"


def element_problems(entry: ModelInput, features: Sequence[Feature], width_of: Callable[[Feature], int | None]) -> list[str]:
    """The problems of a float input (N, L, d): the elements of sequences, side by side along d."""
    length, wanted = entry.shape
    problems = _length_problems(entry, features, length)
    widths = [(feature.name, width_of(feature)) for feature in features]
    for feature, (_, width) in zip(features, widths, strict=True):
        if width is None:
            problems.append(
                f"is float, but '{feature.name}' ({feature.path}) makes ids without an embedding; give it an embedding_dim"
            )
    total = sum(width or 0 for _, width in widths)
    if not problems and total != wanted:
        listed = ", ".join(f"{name} {width}" for name, width in widths)
        problems.append(f"is {wanted} wide, but its features are {total} wide ({listed}); correct embedding_dim or value_dim")
    return problems


def id_problems(entry: ModelInput, features: Sequence[Feature]) -> list[str]:
    """The problems of an int64 input (N, L): the ids of the elements of one sequence."""
    if len(features) > 1:
        names = ", ".join(feature.name for feature in features)
        return [f"is int64, one id per element, but the group has {len(features)} features ({names}); make one input per feature"]
    problems = _length_problems(entry, features, entry.shape[0])
    feature = features[0]
    where = f"is int64, but '{feature.name}' ({feature.path})"
    if feature.bucketizer is None:
        return [*problems, f"{where} makes no ids; give it a bucketizer such as hash_bucket_size, or make the input float"]
    if feature.value_dim != 1 and not feature.numbers:
        problems.append(f"{where} may have several ids in an element; set value_dim to 1, or make the input float")
    if feature.has_weights:
        problems.append(f"{where} is weighted, and an id has no weight; make the input float with an embedding_dim")
    space = feature.bucketizer.id_space
    if entry.rows is not None and space > entry.rows:
        problems.append(
            f"indexes {entry.rows} rows in the model, but the ids of '{feature.name}' run to {space - 1}; "
            "make the id space smaller, or export the model with a larger table"
        )
    return problems


def side_problems(entry: ModelInput, features: Sequence[Feature]) -> list[str]:
    """The problems of a mask (N, L) or a length (N) or (N, 1) of a sequence; of a group, its first sequence counts."""
    if entry.name.endswith(LENGTH):
        return [] if entry.shape in ((), (1,)) else [f"is {shape_text(entry)}; wanted (N) or (N, 1), the elements of each row"]
    if len(entry.shape) != 1:
        return [f"is {shape_text(entry)}; wanted (N, sequence_length), 1 where there is an element"]
    return _length_problems(entry, features[:1], entry.shape[0])


def _length_problems(entry: ModelInput, features: Sequence[Feature], length: int) -> list[str]:
    problems = []
    for feature in features:
        where = f"is {shape_text(entry)}, but '{feature.name}' ({feature.path})"
        if feature.sequence is None:
            problems.append(f"{where} is no sequence; put it into another group")
        elif feature.sequence.length != length:
            kept = feature.sequence.length or "all"
            problems.append(
                f"{where} keeps {kept} elements; set sequence_length to {length}, or export the model for another length"
            )
    return problems
