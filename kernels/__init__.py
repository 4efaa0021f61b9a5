"""Numba-compiled loops over numpy arrays: no I/O, no state, no imports from the rest of Lesto."""
