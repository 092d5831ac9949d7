"""Tuning: the knobs of a model's kernels, searched by measuring, and what was learned (docs/tuning.md)."""
