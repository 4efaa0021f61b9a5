"""Loading the compiled loops lazily, and deciding where their machine code is cached."""

import contextlib
import fcntl
import functools
import hashlib
import importlib
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

GROUPS = (
    "hashing",
    "hashindex",
    "textindex",
    "rowkeys",
    "rows",
    "aggregates",
    "groups",
    "texts",
    "windowing",
    "intervals",
    "packing",
    "blocks",
    "rowbytes",
    "rowindex",
    "frames",
)
"""Names of the groups of kernels, each a module in ``lesto.kernels.compiled``."""

_COMPILED = Path(__file__).parent / "compiled"


_ready: dict[str, ModuleType] = {}
#: A slot warms kernels on one thread while tasks may already call them on another.
_loading = threading.RLock()


def native(group: str) -> ModuleType:
    """The module of compiled loops called ``group``, ready to run.

    The first call imports numba and loads the group from the disk cache, or compiles it; other
    threads wait for it.
    """
    module = _ready.get(group)
    if module is None:
        with _loading:
            module = _ready.get(group)
            if module is None:
                module = importlib.import_module(f"lesto.kernels.compiled.{group}")
                decorator = importlib.import_module("lesto.kernels.compiled.decorator")
                with _one_compiles(group):
                    decorator.compile_group(module.__name__)
                _ready[group] = module
    return module


@contextlib.contextmanager
def _one_compiles(group: str) -> Iterator[None]:
    """While a group is not in the disk cache, one process compiles it and the others wait: the
    slots of a machine begin together, and each would compile everything.
    """
    kept = Path(cache_dir()) / f"{group}.{sys.implementation.cache_tag}.ready"
    if kept.exists():
        yield
        return
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system gives it up when its holder dies
        yield
        kept.touch()


def warm(names: Iterable[str] | None = None) -> int:
    """Load from the disk cache, or compile, every kernel of the named groups.

    Args:
        names: groups from :data:`GROUPS`; all of them by default.

    Returns:
        How many compiled specialisations are ready.
    """
    ready = 0
    for group in GROUPS if names is None else names:
        module = native(group)
        decorator = importlib.import_module("lesto.kernels.compiled.decorator")
        ready += decorator.compile_group(module.__name__)
    return ready


@functools.cache
def source_digest() -> str:
    """Twelve hex digits that change whenever any compiled module's source does.

    Numba's own cache looks only at the file a kernel stands in, not at the files of the kernels it
    inlines, so the digest is part of the cache's path.
    """
    digest = hashlib.sha256()
    for path in sorted(_COMPILED.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def cache_dir() -> str:
    """The writable directory for machine code.

    In order: ``NUMBA_CACHE_DIR``, the user's cache directory, a private temporary directory. A
    ``NUMBA_CACHE_DIR`` that is filled but read-only (an image built with warm kernels) is copied
    once to the next writable place, because numba only reads caches it could also write.
    """
    leaf = f"lesto-{source_digest()}"
    wanted = os.environ.get("NUMBA_CACHE_DIR")
    prebuilt = Path(wanted) / leaf if wanted else None
    if prebuilt is not None and _usable(prebuilt):
        return str(prebuilt)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    chosen = Path(base) / "lesto" / "kernels" / leaf
    if not _usable(chosen):
        chosen = Path(tempfile.gettempdir()) / f"lesto-kernels-{os.getuid()}" / leaf
        if not _private(chosen.parent) or not _usable(chosen):
            chosen = Path(tempfile.mkdtemp(prefix="lesto-kernels-"))
    if prebuilt is not None and prebuilt.is_dir():
        _copy_missing(prebuilt, chosen)
    return str(chosen)


def _usable(path: Path) -> bool:
    """Whether the directory exists or could be made, and accepts a file."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return False
    return True


def _private(path: Path) -> bool:
    """Whether only we can write there: cached code is executed, so nobody else may plant it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _copy_missing(source: Path, target: Path) -> None:
    """Copy cache files that are not there yet, each by an atomic rename."""
    for path in source.rglob("*.nb[ic]"):
        to = target / path.relative_to(source)
        if to.exists():
            continue
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=to.parent)
            os.close(handle)
            shutil.copyfile(path, temporary)
            os.replace(temporary, to)
        except OSError:
            return  # a cache: kernels compile instead
