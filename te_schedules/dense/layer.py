"""What the tile emitters of the dense layer share: the layer's constants, its buffers, and masked vector access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from te_schedules.dense.activation import ACTIVATIONS, splat
from te_schedules.dense.tiles import SPACE, DenseTiles

PRECISIONS = {"fp32": 1, "bf16": 2, "int8": 4}  # name -> numbers of K in 32 bits
STACK_LIMIT = 960  # bytes; TVM's own limit is 1024, exclusive
TILE_WORDS = 16  # of K in a tile of a matrix unit
INSTRUCTION = "rank.instruction"  # attribute of a kernel below fp32: what multiplies
MATRIX_FLAG = (
    "rank.matrix_flag"  # attribute of a kernel that may use the CPU's matrix unit: the flag of /proc/cpuinfo that it needs
)
LAYER = "rank.layer"  # attribute of a kernel: what `described` gives, as JSON
DOT_COLUMNS = (
    3  # outputs at a time of sums along K: with 4 rows 12 sums and 7 loads per vector of K; 16 sums do not fit STACK_LIMIT
)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The compile-time constants of one dense layer: x (N, depth) -> out (N, units)."""

    depth: int
    units: int
    activation: str
    has_row_bias: bool
    tiles: DenseTiles
    has_item_bias: bool = False  # a second bias by row, with an index of its own
    precision: str = "fp32"  # of x and the weight: a name of PRECISIONS
    products: str = "plain"  # how products are summed below fp32: a name of `te_schedules.dense.reduced.products.PRODUCTS`
    matrix: bool = (
        False  # whether the CPU's matrix unit sums them where the process may use it (`te_schedules.dense.reduced.matrix`)
    )

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"rank.dense: precision {self.precision!r} is unknown; known are {', '.join(PRECISIONS)}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"rank.dense: activation {self.activation!r} is unknown; known are {', '.join(sorted(ACTIVATIONS))}")
        if self.depth < 1 or self.units < 1:
            raise ValueError(f"rank.dense: {self.depth} inputs and {self.units} outputs; both must be at least 1")

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Layer:
        """The layer that `described` gave. Raises ValueError or TypeError for anything else."""
        return cls(**{**described, "tiles": DenseTiles(**described["tiles"])})

    def described(self) -> dict[str, Any]:
        """The constants, as JSON has them."""
        return asdict(self)

    @property
    def name(self) -> str:
        """The kernel's name: what the layer computes, whatever its tiles are."""
        biases = "_rows" * self.has_row_bias + "_items" * self.has_item_bias
        precision = "" if self.precision == "fp32" else f"_{self.precision}"
        return f"dense_{self.depth}x{self.units}_{self.activation}{biases}{precision}"

    @property
    def width(self) -> int:
        """Columns of a panel; 1 when the sums run along K."""
        return self.tiles.panel_width(self.units)

    @property
    def panels(self) -> int:
        """Number of weight panels."""
        return -(-self.units // self.width)

    @property
    def task_columns(self) -> int:
        """Output columns that one task computes: a panel, or all of them when the sums run along K."""
        return self.units if self.width == 1 else self.width

    @property
    def words(self) -> int:
        """Words of 32 bits in a row of x, and steps of K of the inner loop; whole tiles of a matrix unit."""
        words = -(-self.depth // PRECISIONS[self.precision])
        return -(-words // TILE_WORDS) * TILE_WORDS if self.matrix else words

    @property
    def depth_steps(self) -> int:
        """Steps of K that are summed at a time: all of them, or an even part of about `depth_block` in deeper layers."""
        if self.precision != "fp32":
            return self.words
        if self.width == 1 or 2 * self.depth <= 3 * self.tiles.depth_block:
            return self.depth
        parts = -(-self.depth // self.tiles.depth_block)
        unroll = self.tiles.unroll
        return -(-self.depth // (parts * unroll)) * unroll

    @property
    def flops(self) -> int:
        """Floating-point operations for one row; a multiplication and an addition are two."""
        return (2 * self.depth + 1) * self.units

    @property
    def tasks_per_chunk(self) -> int:
        """Tasks that share a chunk of rows."""
        return -(-self.units // self.task_columns)

    def space(self) -> dict[str, tuple[int, ...]]:
        """The knobs that can make a difference to this layer, with the values that tuning tries, those of `tiles` among them."""
        found = {name: tuple(sorted({*values, getattr(self.tiles, name)})) for name, values in SPACE.items()}
        found["dot_rows"] = tuple(rows for rows in found["dot_rows"] if rows * DOT_COLUMNS * self.tiles.lanes * 4 <= STACK_LIMIT)
        never = {
            "dot_columns": self.units > max(found["dot_columns"]),
            "dot_rows": self.units > max(found["dot_columns"]),
            "depth_block": 2 * self.depth <= 3 * min(found["depth_block"]),
        }
        return {name: values for name, values in found.items() if not never.get(name)}

    def tile_rows(self, columns: int) -> int:
        """Rows of the register tile of a task with `columns` output columns."""
        return self.tiles.dot_rows if self.width == 1 else self.tiles.rows(-(-columns // self.tiles.lanes))


@dataclass(frozen=True, kw_only=True, eq=False)
class Buffers:
    """The tensors of the function being built, as in the formula of `kernel.py`."""

    x: tirx.Buffer
    packed: tirx.Buffer
    bias: tirx.Buffer
    out: tirx.Buffer
    row_bias: tirx.Buffer | None = None
    row_index: tirx.Buffer | None = None
    item_bias: tirx.Buffer | None = None
    item_index: tirx.Buffer | None = None
    levels: Any = None  # the three buffers of int8, as in `reduced/rows.py` and `reduced/pack.py`
    factors: Any = None
    totals: Any = None


def registers(count: int, lanes: int, dtype: str = "float32"):
    """A buffer of `count` vectors that LLVM keeps in registers, because all its indices are constant once loops are unrolled.

    Scope "global" and at most STACK_LIMIT bytes: anything else TVM takes from the heap, with a call at run time. TVM unites
    buffers that are not alive at the same time, which costs nothing here.
    """
    assert count * lanes * 4 <= STACK_LIMIT
    return T.alloc_buffer((count * lanes,), dtype, scope="global")


def cell(value):
    """A mutable int64 scalar, read as `c[0]` and written with `T.buffer_store`. LLVM keeps it in a register.

    A `let` would be substituted into every index, and simplifying the long indices is most of the time to compile.
    """
    scalar = T.alloc_buffer((1,), "int64", scope="global")
    T.buffer_store(scalar, value, [0])
    return scalar


def mask(lanes: int, count):
    """A predicate that is true for the first `count` lanes; `count` is an int or an int32 expression."""
    count = tirx.const(count, "int32") if isinstance(count, int) else count
    return T.ramp(tirx.const(0, "int32"), 1, lanes) < T.broadcast(count, lanes)


def load(buffer, row: list, column, lanes: int, count, dtype: str = "float32"):
    """`lanes` numbers of a `dtype` from `buffer[*row, column]` on, of which only `count` are read; the others are 0."""
    index = (*row, T.ramp(column, 1, lanes))
    if isinstance(count, int) and count >= lanes:
        return buffer[index]
    read = T.masked_load(f"{dtype}x{lanes}", buffer, *index, mask(lanes, count))
    return T.Select(mask(lanes, count), read, splat(0, lanes, dtype))


def store(buffer, value, row: list, column, lanes: int, count) -> None:
    """Emit a write of the first `count` lanes of `value` to `buffer[*row, column]` and on."""
    index = T.ramp(column, 1, lanes)
    if isinstance(count, int) and count >= lanes:
        T.buffer_store(buffer, value, [*row, index])
    else:
        T.evaluate(T.masked_store(buffer, value, *row, index, mask(lanes, count)))


def row_biases(buffers: Buffers, row) -> list[tuple[tirx.Buffer, tirx.Var]]:
    """The biases of output row `row`: (tensor, its row, bound to a variable); an index out of range takes the nearest row."""
    pairs = ((buffers.row_bias, buffers.row_index), (buffers.item_bias, buffers.item_index))
    return [(bias, row_of(bias, index, row)) for bias, index in pairs if bias is not None and index is not None]


def row_of(bias, indices, row):
    """The row of `bias` for an output row, bound to a variable."""
    index = T.cast(indices[row], "int64")
    last = bias.shape[0] - tirx.const(1, "int64")
    return T.bind(T.max(T.min(index, last), tirx.const(0, "int64")))
