"""The sample requests that `compile` puts into an artifact, with their scores by NumPy: what `tvm-rank check` compares kernels with."""
