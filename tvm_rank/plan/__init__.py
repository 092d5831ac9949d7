"""What a compiled model does, step by step: sides, rows, FLOPs and bytes (`tvm-rank inspect --plan`)."""
