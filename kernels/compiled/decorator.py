"""One decorator for every compiled loop: no GIL, cached on disk, signatures declared."""

from collections.abc import Callable
from typing import Any

import numba
from numba import config

from lesto.kernels.jit import cache_dir

_REGISTRY: dict[str, list[tuple[Any, tuple[str, ...]]]] = {}


def kernel(*signatures: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile with the given signatures on first call or by :func:`compile_group`.

    Numba takes its cache directory from a global; we set it only while it looks, so that the
    user's own numba functions keep theirs.
    """

    def wrap(function: Callable[..., Any]) -> Any:
        before = config.CACHE_DIR
        config.CACHE_DIR = cache_dir()
        try:
            compiled = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
        finally:
            config.CACHE_DIR = before
        _REGISTRY.setdefault(function.__module__, []).append((compiled, signatures))
        return compiled

    return wrap


def inline(function: Callable[..., Any]) -> Any:
    """A small helper that kernels call; LLVM inlines it, so it has no cache entry of its own."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def compile_group(module: str) -> int:
    """Compile or load all declared signatures of one module; returns how many are ready."""
    ready = 0
    for compiled, signatures in _REGISTRY.get(module, []):
        for signature in signatures:
            compiled.compile(signature)
            ready += 1
    return ready


def undeclared(module: str) -> list[str]:
    """Specialisations that calls created beyond the declared signatures (a test wants none)."""
    return [
        f"{compiled.__name__}{found}"
        for compiled, signatures in _REGISTRY.get(module, [])
        if len(compiled.signatures) > len(signatures)
        for found in compiled.signatures
    ]
