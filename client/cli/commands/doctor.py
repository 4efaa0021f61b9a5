"""`lesto doctor`: looks for what usually goes wrong on a machine."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import format_bytes, print_records
from lesto.client.cli.target import configuration, connect
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import LestoError

MIN_FREE_BYTES = 1 << 30
MIN_OPEN_FILES = 1024

Finding = tuple[bool, str]


def doctor(arguments: argparse.Namespace) -> int:
    """Run every check; exit code 5 when one fails."""
    config = configuration(arguments)
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "packages": _packages,
        "cores": _cores,
        "open files": _open_files,
        "temporary space": lambda: _temporary_space(config),
        "jobmanager": lambda: _jobmanager(arguments),
        "ports": lambda: _ports(config),
    }
    findings = []
    for name, check in checks.items():
        good, text = check()
        findings.append({"check": name, "status": "ok" if good else "problem", "finding": text})
    print_records(
        findings, {"check": "CHECK", "status": "STATUS", "finding": "FINDING"}, arguments.output
    )
    bad = any(finding["status"] != "ok" for finding in findings)
    return ExitCode.REFUSED if bad else ExitCode.OK


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return good, f"{platform.python_version()} at {sys.executable}"


def _packages() -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("lesto", "pyarrow", "numba", "rocksdict", "grpcio"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return False, f"{name} is not installed: pip install lesto"
    return True, ", ".join(found)


def _cores() -> Finding:
    usable = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    return True, f"{usable} usable; a slot uses about one"


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft >= MIN_OPEN_FILES
    return good, f"limit {soft} (hard {hard})" + ("" if good else ": raise it with `ulimit -n`")


def _temporary_space(config: Configuration) -> Finding:
    folder = config.get(options.TMP_DIRS) or tempfile.gettempdir()
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return False, f"{folder}: {error.strerror}; set io.tmp.dirs"
    good = free >= MIN_FREE_BYTES
    return good, f"{format_bytes(free)} free in {folder}" + ("" if good else "; set io.tmp.dirs")


def _jobmanager(arguments: argparse.Namespace) -> Finding:
    try:
        with connect(arguments) as client:
            info = client.cluster()
    except LestoError as error:
        if arguments.jobmanager:
            return False, f"{error.code}: {error.message}"
        return True, "none answers here (`lesto run` brings its own)"
    workers = len(info.taskmanagers)
    slots = f"{info.slots_available} of {info.slots_total} slots free"
    return True, f"Lesto {info.lesto_version}, {workers} TaskManagers, {slots}"


def _ports(config: Configuration) -> Finding:
    taken = []
    for option in (options.JOBMANAGER_PORT, options.REST_PORT):
        port = config.get(option)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(f"{option.key} {port}")
    if taken:
        return True, f"in use: {', '.join(taken)} (a running cluster?)"
    return True, "free"
