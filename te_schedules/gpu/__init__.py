"""What kernels for GPUs need beside the schedules: the functions of the prelude, and the loops of threads."""
