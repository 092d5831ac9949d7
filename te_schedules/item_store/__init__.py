"""Kernels of the item store: keys to rows, and rows to fields that kernels read where they lie."""
