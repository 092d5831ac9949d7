"""Column groups: how features share kernels."""
