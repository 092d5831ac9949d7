"""The dense layer on CPU: knobs, weight packing, kernel and Relax operator `rank.dense`."""

from te_schedules.dense.activation import ACTIVATIONS
from te_schedules.dense.kernel import dense_func
from te_schedules.dense.layer import Layer
from te_schedules.dense.pack import pack
from te_schedules.dense.tiles import AVX2, AVX512, GENERIC, NEON, DenseTiles, tiles_for

__all__ = ["ACTIVATIONS", "AVX2", "AVX512", "GENERIC", "NEON", "DenseTiles", "Layer", "dense_func", "pack", "tiles_for"]
