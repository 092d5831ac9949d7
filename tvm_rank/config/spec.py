"""What a feature configuration says, as frozen values that all types share. `load.py` makes them; nothing else reads fg.json.

What one type adds is in `config/types/<type>.py`. The meaning of each key is in docs/features.md. All text is `str`; kernels see it as
UTF-8 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tvm_rank.config.expression import Node

REQUEST_SIDES = ("user", "context")
FEATURE, CONST = "feature", "const"


@dataclass(frozen=True, kw_only=True)
class Field:
    """An input, written `side:name` in fg.json.

    `side` is user, context or item for a raw column, feature for the values of the feature of that name, const for `name` as a text.
    `request` is set for a feature that depends on the request alone.
    """

    side: str
    name: str
    request: bool = False

    @property
    def is_request(self) -> bool:
        """True when the input has one row per request (user and context fields, what is made of them alone, constants)."""
        return self.side in REQUEST_SIDES or self.side == CONST or self.request


# ---------------------------------------------------------------- bucketizers: value -> id in [0, id_space)


@dataclass(frozen=True, kw_only=True)
class HashBucket:
    """id = hash(text) % size."""

    size: int

    @property
    def id_space(self) -> int:
        """Ids run from 0 to id_space - 1."""
        return self.size


@dataclass(frozen=True, kw_only=True)
class NumBuckets:
    """id = the integer itself; negative, >= size or beyond int64 becomes 0; text that is no integer fails the batch."""

    size: int

    @property
    def id_space(self) -> int:
        """Ids run from 0 to id_space - 1."""
        return self.size


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """id = the entry of the text; `default` when it has none. `entries` has each text once (a repeated word: last wins)."""

    entries: tuple[tuple[str, int], ...]
    default: int

    @property
    def id_space(self) -> int:
        """Ids run from 0 to id_space - 1."""
        return max([self.default, *(id for _, id in self.entries)]) + 1


@dataclass(frozen=True, kw_only=True)
class Boundaries:
    """id = count of boundaries <= value; `values` are sorted and rounded to float32."""

    values: tuple[float, ...]

    @property
    def id_space(self) -> int:
        """Ids run from 0 to id_space - 1."""
        return len(self.values) + 1


Bucketizer = HashBucket | NumBuckets | Vocabulary | Boundaries

# ---------------------------------------------------------------- normalizers: number -> number


@dataclass(frozen=True, kw_only=True)
class MinMax:
    """(x - min) / (max - min), not clipped."""

    min: float
    max: float


@dataclass(frozen=True, kw_only=True)
class ZScore:
    """(x - mean) / standard_deviation."""

    mean: float
    standard_deviation: float


@dataclass(frozen=True, kw_only=True)
class Log10:
    """log10(x) where x > threshold, else default."""

    threshold: float = 1.0
    default: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Expression:
    """A formula over the variable x, as parsed by `config.expression`."""

    text: str
    tree: Node


Normalizer = MinMax | ZScore | Log10 | Expression

# ---------------------------------------------------------------- features


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The lookup that follows the ids: rows of `table`, `dim` wide, pooled by `combiner` (sum, mean, sqrtn or max)."""

    table: str
    dim: int
    combiner: str


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """How a feature of a sequence reads its inputs.

    `splits`: for each of the feature's fields, whether it is read element by element (a list, or the parts of a text between
    `delimiter`), or serves all elements · `length`: the elements kept of a row, the first ones; 0 keeps all.
    """

    length: int
    delimiter: str
    splits: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What all feature types share.

    `path` is the feature's place in the file (`features[3]`), for messages. `default_value` is text, "" for none; it is one token
    for ids, split by the separators for a multi-dimensional raw feature. `separators` always holds chr(29), and the configured
    one if another; `map_separators`, which split a map that is one text, chr(29) and the file's `multi_val_sep`. `value_dim` 0 keeps all
    ids; k keeps the first k. A `stub` is computed for other features only.
    """

    stem: ClassVar[str]  # the feature_type, and the name of the type's file in every role

    name: str
    path: str
    default_value: str
    separators: tuple[str, ...] = ("\x1d",)
    map_separators: tuple[str, ...] = ("\x1d",)
    legacy: bool = False  # of the dialect "rtp": columns are read as the older engine reads them (`runtime/legacy.py`)
    invalid_values: tuple[str, ...] = ()  # texts that count as missing, of a legacy feature
    value_dim: int = 0
    bucketizer: Bucketizer | None = None
    embedding: Embedding | None = None
    group: str | None = None
    fields: tuple[Field, ...] = field(default=())
    stub: bool = False
    sequence: Sequence | None = None

    @property
    def is_request(self) -> bool:
        """True when every input depends on the request alone, so that the value is the same for all its items."""
        return all(f.is_request for f in self.fields)

    def reads_elements(self, field: Field) -> bool:
        """True when the input is read element by element, as the inputs of a sequence are."""
        return self.sequence is not None and self.sequence.splits[self.fields.index(field)]

    @property
    def splits_all_inputs(self) -> bool:
        """True when inputs of the request that do not belong to a sequence group are sequences too."""
        return False

    @property
    def feature_inputs(self) -> tuple[str, ...]:
        """The names of the features that it reads."""
        return tuple(dict.fromkeys(f.name for f in self.fields if f.side == FEATURE))

    @property
    def yields_texts(self) -> bool:
        """True when its values are texts that no bucketizer turns into ids, so that only another feature can read them."""
        return not self.numbers and self.bucketizer is None

    @property
    def has_weights(self) -> bool:
        """True when each id comes with a weight."""
        return False

    @property
    def numbers(self) -> int:
        """How many numbers a row has before they are bucketized; 0 when its values are texts."""
        return 0

    @property
    def refusal(self) -> str:
        """Why a row is refused, if one is: what the feature wants, and what to do."""
        return "num_buckets wants integers, and this text is none; clean the column, or use hash_bucket_size"


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """A whole fg.json. `hash_function` is "std" (MurmurHash64A as libstdc++ has it) or "farm" (FarmHash Fingerprint64)."""

    features: tuple[Feature, ...]
    hash_function: str = "std"
    source: str = "fg.json"
