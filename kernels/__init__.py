"""Numba-compiled loops over numpy arrays: no I/O, no state, no imports from the rest of Lesto.

Importing this package, or any public module in it, does not import numba. The loops themselves live
in ``lesto.kernels.compiled`` and are loaded on first use, or all at once by :func:`warm`.
"""

from lesto.kernels.jit import warm

__all__ = ["warm"]
