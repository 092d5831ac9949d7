"""Benchmarks (`tvm-rank bench`): workloads, what they cost, the machine's ceilings, other engines next to ours, and reports."""
