"""Arrays in, arrays out: Numba functions and the C++ module. Knows nothing of files or models."""
