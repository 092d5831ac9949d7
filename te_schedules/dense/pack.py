"""The order in which the dense kernels read weights."""

from __future__ import annotations

import numpy as np

from te_schedules.dense.tiles import DenseTiles


def pack(weight: np.ndarray, tiles: DenseTiles) -> np.ndarray:
    """Weights in the order of the inner loop, float32, C-contiguous.

    weight (K, J) f32 -> (panels, K, width) f32 with width = tiles.panel_width(J), panels = ceil(J / width)

        packed[p, k, c] = weight[k, p * width + c], 0 beyond column J         width 1: simply the transpose, (J, K, 1)
    """
    if weight.ndim != 2 or weight.dtype != np.float32:
        raise ValueError(f"pack: the weight is {weight.dtype} of shape {weight.shape}; expected float32 (K, J)")
    return pack_panels(weight, tiles.panel_width(weight.shape[1]))


def pack_panels(weight: np.ndarray, width: int) -> np.ndarray:
    """Weights (K, J) in panels of `width` columns, as `pack` has them."""
    depth, units = weight.shape
    panels = -(-units // width)
    padded = np.zeros((depth, panels * width), np.float32)
    padded[:, :units] = weight
    return np.ascontiguousarray(padded.reshape(depth, panels, width).transpose(1, 0, 2))


def unpack(packed: np.ndarray, units: int) -> np.ndarray:
    """The weight (K, J) of `units` outputs that `pack` was given."""
    depth = packed.shape[1]
    return np.ascontiguousarray(np.moveaxis(packed, 0, 1).reshape(depth, -1)[:, :units])
