"""Workloads of `scripts/bench_features.py`, and the NumPy and pyarrow way of doing them."""
