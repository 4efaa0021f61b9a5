"""One decorator for every compiled loop: no GIL, cached on disk, signatures declared."""

from collections.abc import Callable
from typing import Any

import numba
from numba import config

from lesto.kernels.jit import cache_dir

_REGISTRY: dict[str, list[tuple[Any, tuple[str, ...]]]] = {}


def kernel(*signatures: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a loop and the only signatures it has; :func:`compile_group` compiles them.

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
    """Compile or load all declared signatures of one module; returns how many are ready.

    After that a call with other types is a ``TypeError``, not a second of compiling mid-stream.
    """
    ready = 0
    for compiled, signatures in _REGISTRY.get(module, []):
        for signature in signatures:
            if len(compiled.signatures) < len(signatures):
                compiled.compile(signature)
            ready += 1
        compiled.disable_compile()
    return ready
