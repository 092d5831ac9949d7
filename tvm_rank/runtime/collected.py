"""The ids of all features from one run of `collect_ids` (`te_schedules/column_group/collect.py` draws its memory)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

STREAMS = (("ids", np.int64), ("weights", np.float32), ("key_lengths", np.int32))
IDS, WEIGHTS, KEYS = range(3)
PLACES = 5
ID_BEGIN, ID_COUNT, WEIGHT_BEGIN, KEY_BEGIN, KEY_COUNT = range(PLACES)
KEPT_BYTES = 1 << 27  # of scratch memory that a thread keeps for the next call: pages that are there cost nothing
USUAL = 0.9  # of the blocks need no more than what the next call is prepared for
SPARE = 1.25  # how much larger than before the pieces of the next call are


@dataclass(frozen=True)
class Collected:
    """Streams of all features: `places` (blocks, features, PLACES) within the pieces that begin at `bases` (streams, blocks)."""

    lengths: np.ndarray
    bases: np.ndarray
    places: np.ndarray
    streams: tuple[np.ndarray, ...]

    def sizes(self, stream: int, features: np.ndarray) -> np.ndarray:
        """(features, blocks): how many items of a stream each of these features has in each block."""
        return self.places[:, features, KEY_COUNT if stream == KEYS else ID_COUNT].T

    def whole(self, stream: int) -> np.ndarray | None:
        """The items of a single feature where they lie side by side, since its pieces are full; else None."""
        counts = self.places[:, 0, KEY_COUNT if stream == KEYS else ID_COUNT]
        ends = self.bases[stream] + counts
        side_by_side = self.places.shape[1] == 1 and np.array_equal(ends[:-1], self.bases[stream, 1:])
        return self.streams[stream][: ends[-1]] if side_by_side else None

    def pieces(self, stream: int, features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(sources, targets, bytes) of the pieces of these features, whose items go to the addresses `targets` (features,)."""
        width = np.dtype(STREAMS[stream][1]).itemsize
        begins = self.places[:, features, (ID_BEGIN, WEIGHT_BEGIN, KEY_BEGIN)[stream]].T + self.bases[stream]
        sizes = self.sizes(stream, features) * width
        before = np.cumsum(sizes, axis=1) - sizes
        sources = begins * width + self.streams[stream].__array_interface__["data"][0]
        return sources.reshape(-1), (before + targets[:, None]).reshape(-1), sizes.reshape(-1)


class Collector:
    """Runs `collect_ids` with pieces large enough, and remembers how large they were. Threads may share it."""

    def __init__(self, features: int, block_rows: int, *, weighted: bool, sequences: bool):
        self._features, self._block_rows = features, block_rows
        first = features * block_rows  # one id a row, which is what most features have
        self._rooms = np.array([first, first if weighted else 0, first if sequences else 0], np.int64)
        self._here = threading.local()

    def run(self, rows: int, call: Callable[..., None]) -> Collected:
        """`call(bases, ends, lengths, used, places, *streams)` once, or twice when a piece was too small; rows > 0."""
        blocks = -(-rows // self._block_rows)
        lengths = np.empty((self._features, rows), np.int32)
        sizes = np.repeat(self._rooms[:, None], blocks, axis=1)
        while True:
            ends = np.cumsum(sizes, axis=1)
            bases, used = ends - sizes, np.zeros((blocks, len(STREAMS)), np.int64)
            places = np.zeros((blocks, self._features, PLACES), np.int64)
            streams = tuple(self._scratch(k, int(ends[k, -1])) for k in range(len(STREAMS)))
            call(bases, ends, lengths, used, places, *streams)
            if (sizes >= used.T).all():
                return Collected(lengths, bases, places, streams)
            sizes = used.T.copy()
            # one long row must not make all pieces long: a larger piece for all only as far as blocks are alike
            usual = np.quantile(sizes, USUAL, axis=1, method="lower")
            alike = np.minimum(sizes.max(axis=1), 2 * usual) * SPARE
            self._rooms = np.maximum(self._rooms, alike.astype(np.int64))

    def _scratch(self, stream: int, size: int) -> np.ndarray:
        kept = getattr(self._here, "kept", None)
        if kept is None:
            kept = self._here.kept = [np.empty(1, dtype) for _, dtype in STREAMS]
        array = kept[stream]
        if array.size < size:
            array = memory(size, STREAMS[stream][1])
            if array.nbytes <= KEPT_BYTES:
                kept[stream] = array
        return array

    def give_away(self, stream: int) -> None:
        """The memory of a stream of the last run of this thread belongs to the caller from now on."""
        self._here.kept[stream] = np.empty(1, STREAMS[stream][1])


def memory(size: int, dtype: type) -> np.ndarray:
    """An empty array of Arrow's pool, which keeps pages for the next batch; the system takes as long to give new ones as it takes to
    fill them."""
    return np.frombuffer(pa.allocate_buffer(size * np.dtype(dtype).itemsize), dtype) if size else np.empty(0, dtype)
