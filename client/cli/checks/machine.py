"""The machine and its Python: what a slot needs."""

from __future__ import annotations

import importlib
import os
import platform
import resource
import shutil
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from lesto.client.cli.checks.finding import Finding, note, ok, problem
from lesto.client.cli.output import format_bytes
from lesto.common import options
from lesto.common.config import Configuration

MIN_FREE_BYTES: Final = 1 << 30
MIN_SHARED_BYTES: Final = 64 << 20
MIN_OPEN_FILES: Final = 1024
#: Of a slot process with warm kernels and a small job; measured at about 250 MB.
SLOT_BYTES: Final = 512 << 20
#: Extras, and the module that each brings.
EXTRAS: Final = {
    "kafka": "confluent_kafka",
    "avro": "fastavro",
    "s3": "obstore",
    "postgres": "psycopg",
    "pydantic": "pydantic",
    "k8s": "kopf",
    "otel": "opentelemetry.sdk",
    "tls": "cryptography",
}


def python() -> Iterator[Finding]:
    """Version, ABI, interpreter lock."""
    bits = struct.calcsize("P") * 8
    abi = sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag
    text = f"{platform.python_version()} ({abi}, {bits} bit) at {sys.executable}"
    if sys.version_info < (3, 11) or bits < 64:
        yield problem("python", f"{text}: Lesto needs a 64-bit Python of 3.11 or later")
        return
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    if sysconfig.get_config_var("Py_GIL_DISABLED") and not locked:
        yield note("python", f"{text}, free-threaded: not tested with Lesto; slots are processes")
    else:
        yield ok("python", text)


def packages() -> Iterator[Finding]:
    """What Lesto cannot do without."""
    found = []
    for name in ("lesto", "pyarrow", "numba", "rocksdict", "grpcio"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield problem("packages", f"{name} is not installed: pip install lesto")
            return
    yield ok("packages", ", ".join(found))


def extras() -> Iterator[Finding]:
    """Which extras are installed; one that is and cannot be imported is a problem."""
    there, absent = [], []
    for extra, module in EXTRAS.items():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != module.partition(".")[0]:
                yield problem("extras", f"{extra}: {module} needs {error.name}, which is missing")
            absent.append(extra)
        except Exception as error:  # noqa: BLE001 - whatever a broken library raises is the finding
            yield problem("extras", f"{extra}: {module} cannot be imported: {error}")
        else:
            there.append(extra)
    text = f"installed: {', '.join(there) or 'none'}"
    if absent:
        text += f"; not: {', '.join(absent)} (pip install 'lesto[NAME]')"
    yield ok("extras", text)


def cores() -> Iterator[Finding]:
    """How many slots have a core of their own."""
    usable = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    yield ok("cores", f"{usable} usable; a slot uses about one")


def memory(config: Configuration) -> Iterator[Finding]:
    """What is available for slots."""
    try:
        fields = dict(
            line.split(":") for line in Path("/proc/meminfo").read_text("utf-8").splitlines()
        )
        total, free = (int(fields[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        yield note("memory", "this system does not tell")
        return
    slots = config.get(options.TASK_SLOTS)
    text = f"{format_bytes(free)} of {format_bytes(total)} available"
    if free < slots * SLOT_BYTES:
        text += f"; {slots} slots want {format_bytes(slots * SLOT_BYTES)} at least"
        yield note("memory", text)
    else:
        yield ok("memory", text)


def open_files() -> Iterator[Finding]:
    """The limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"limit {soft} (hard {hard})"
    if soft < MIN_OPEN_FILES:
        yield problem("open files", f"{text}: raise it with `ulimit -n {min(hard, 65536)}`")
    else:
        yield ok("open files", text)


def space(config: Configuration) -> Iterator[Finding]:
    """Disks of working state, and shared memory."""
    folders = {config.get(options.TMP_DIRS) or tempfile.gettempdir(): "io.tmp.dirs"}
    if local := config.get(options.STATE_LOCAL_DIR):
        folders[local] = options.STATE_LOCAL_DIR.key
    for folder, key in folders.items():
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            yield problem("temporary space", f"{folder}: {error.strerror}; set {key}")
            continue
        text = f"{format_bytes(free)} free in {folder}"
        if free < MIN_FREE_BYTES:
            yield problem("temporary space", f"{text}; set {key}")
        else:
            yield ok("temporary space", text)
    shared = Path("/dev/shm")
    if sys.platform == "linux" and shared.is_dir():
        free = shutil.disk_usage(shared).free
        text = f"{format_bytes(free)} free in {shared}"
        if free < MIN_SHARED_BYTES:
            yield note("shared memory", f"{text}; user functions that share arrays need more")
        else:
            yield ok("shared memory", text)


def kernel_cache() -> Iterator[Finding]:
    """Where compiled loops are kept, and whether they are there."""
    from lesto.kernels.jit import cache_dir

    folder = Path(cache_dir())
    if not os.access(folder, os.W_OK):
        yield note("kernel cache", f"{folder} is read-only: what is missing is compiled each time")
        return
    ready = len(list(folder.glob("*.ready")))
    if ready:
        yield ok("kernel cache", f"{ready} groups of compiled loops in {folder}")
    else:
        yield note("kernel cache", f"{folder} is empty: the first job compiles for some seconds")
