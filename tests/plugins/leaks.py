"""Fails each test that leaves a process, thread, file descriptor or temporary file behind.

How it decides. Before a test's set-up and after its tear-down the plugin takes a snapshot of this
process. What is new and still there after a grace period is a leak, reported as an error of that
test. Three things are not the test's own:

* what a fixture wider than a function (session, package, module, class) brings up. Its set-up is
  snapshotted as well, and what appears during it joins the baseline until that fixture is torn
  down; if it is still there then, the fixture leaks and the test that ended it is reported;
* what a process of such a fixture starts later (a cluster that spawns a slot);
* process-wide singletons that a library makes at first use (see ``_is_singleton_*``).

A test that must leave something says ``@pytest.mark.leaks_ok("reason", only=("threads",))``.

Processes are found as descendants of this process and by an environment variable that they inherit,
so that an orphan whose parent was killed is found too. Temporary files are watched in a private
directory that the plugin makes the default of ``tempfile``, here and in child processes; pytest's
own ``tmp_path`` stays where it always is.
"""

import contextlib
import gc
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from lesto.common.scratch import ScratchDirectory

KINDS = ("processes", "threads", "fds", "files")
GRACE_SECONDS = float(os.environ.get("LESTO_TEST_GRACE_SECONDS", "15"))  # a busy machine's
POLL_SECONDS = 0.02
SESSION_VARIABLE = "LESTO_TEST_SESSION"
IGNORED_THREAD_PREFIXES = (
    "pytest_timeout",  # the watchdog of the running test
    "pydevd",
)
IGNORED_FD_TARGETS = ("/dev/", "/proc/", "/sys/")

Resource = tuple[Any, ...]


@dataclass
class Snapshot:
    """What this process holds at one moment: per kind, identity -> description."""

    processes: dict[Resource, str] = field(default_factory=dict)
    threads: dict[Resource, str] = field(default_factory=dict)
    fds: dict[Resource, str] = field(default_factory=dict)
    files: dict[Resource, str] = field(default_factory=dict)

    def minus(self, *others: "Snapshot") -> "Snapshot":
        """Return what is here and in none of the others."""
        result = Snapshot()
        for kind in KINDS:
            known = set().union(*(getattr(other, kind) for other in others))
            mine = getattr(self, kind)
            setattr(result, kind, {key: text for key, text in mine.items() if key not in known})
        return result

    def merge(self, other: "Snapshot") -> None:
        """Add everything of the other."""
        for kind in KINDS:
            getattr(self, kind).update(getattr(other, kind))

    def only(self, kinds: frozenset[str]) -> "Snapshot":
        """Return a copy with these kinds, the rest empty."""
        return Snapshot(**{kind: dict(getattr(self, kind)) for kind in kinds})

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in KINDS)

    def __str__(self) -> str:
        lines = []
        for kind in KINDS:
            lines += [f"  {kind}: {text}" for text in getattr(self, kind).values()]
        return "\n".join(lines)


class Inspector:
    """Takes snapshots of this process."""

    def __init__(self, scratch: Path, session: str) -> None:
        self.scratch = scratch
        self._marker = f"{SESSION_VARIABLE}={session}".encode()
        self._foreign: set[int] = {os.getpid()}

    def take(self) -> Snapshot:
        """Return what this process holds now."""
        return Snapshot(self._processes(), self._threads(), self._fds(), self._files())

    def _processes(self) -> dict[Resource, str]:
        found = {}
        for pid in self._candidate_pids():
            try:
                process = psutil.Process(pid)
                if process.status() == psutil.STATUS_ZOMBIE or _is_singleton_process(process):
                    continue
                command = " ".join(process.cmdline())[:200]
                key = (pid, process.create_time())
            except psutil.Error:
                continue
            found[key] = f"pid {pid}: {command}"
        return found

    def _candidate_pids(self) -> set[int]:
        pids = {child.pid for child in psutil.Process().children(recursive=True)}
        for name in _numeric_names("/proc"):
            pid = int(name)
            if pid in self._foreign or pid in pids:
                continue
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue  # gone, or another user's
            # A process between fork and exec shows its parent's environment: no false negative.
            if self._marker in environment.split(b"\0"):
                pids.add(pid)
            elif environment:
                self._foreign.add(pid)
        return pids

    def _threads(self) -> dict[Resource, str]:
        return {
            (thread,): f"{thread.name} (daemon={thread.daemon})"
            for thread in threading.enumerate()
            if not _is_singleton_thread(thread)
        }

    def _fds(self) -> dict[Resource, str]:
        found = {}
        for name in _numeric_names("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                continue
            if not _is_singleton_fd(int(name), target):
                found[int(name), target] = f"fd {name}: {target}"
        return found

    def _files(self) -> dict[Resource, str]:
        with contextlib.suppress(FileNotFoundError):
            return {(name,): str(self.scratch / name) for name in os.listdir(self.scratch)}
        return {}


def _numeric_names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.isdigit()]
    except FileNotFoundError:  # not Linux
        return []


def _is_singleton_process(process: psutil.Process) -> bool:
    """Whether multiprocessing started it once for the whole process."""
    resource_tracker = sys.modules.get("multiprocessing.resource_tracker")
    if resource_tracker and process.pid == resource_tracker._resource_tracker._pid:
        return True
    forkserver = sys.modules.get("multiprocessing.forkserver")
    return bool(forkserver and process.pid == forkserver._forkserver._forkserver_pid)


def _pool(thread: threading.Thread) -> str:
    """What the threads of an executor's pool have in common; empty: it is of none."""
    pool, underscore, number = thread.name.rpartition("_")
    return pool if underscore and number.isdecimal() else ""


def _is_singleton_thread(thread: threading.Thread) -> bool:
    """Whether it is the main thread or one that a library keeps for the whole process."""
    return thread is threading.main_thread() or thread.name.startswith(IGNORED_THREAD_PREFIXES)


def _is_singleton_fd(fd: int, target: str) -> bool:
    """Whether it belongs to a library's process-wide machinery, or is shared text."""
    if target.startswith(IGNORED_FD_TARGETS):
        return True
    if "grpc" in sys.modules and target.startswith(
        ("anon_inode:[eventpoll]", "anon_inode:[eventfd]")
    ):
        return True  # gRPC's pollers live until exit. A leaked event loop still shows its sockets
    resource_tracker = sys.modules.get("multiprocessing.resource_tracker")
    if resource_tracker and fd == resource_tracker._resource_tracker._fd:
        return True
    forkserver = sys.modules.get("multiprocessing.forkserver")
    return bool(forkserver and fd == forkserver._forkserver._forkserver_alive_fd)


class LeakChecker:
    """The pytest plugin: compares snapshots around tests and wide fixtures."""

    def __init__(self, inspector: Inspector) -> None:
        self.inspector = inspector
        self._before = Snapshot()
        self._wide: dict[int, Snapshot] = {}  # id of a live wide fixture -> what it brought up
        self._fixture_leaks: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Take the baseline before any fixture of the test runs."""
        self._before = self.inspector.take()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        """Charge what a wide fixture brings up to the fixture."""
        if fixturedef.scope == "function":
            return (yield)
        before = self.inspector.take()
        try:
            return (yield)
        finally:
            # Wide fixtures set up inside this one have already claimed their own, and what a
            # process of an earlier one starts meanwhile is not this one's.
            mine = self._foreign_to_fixtures(self.inspector.take().minus(before))
            self._wide.setdefault(id(fixturedef), Snapshot()).merge(mine)

    def pytest_fixture_post_finalizer(self, fixturedef: Any) -> None:
        """When a wide fixture is torn down, what it brought up must be gone."""
        owned = self._wide.pop(id(fixturedef), None)
        if not owned:
            return
        left = self._settle(lambda now: _common(owned, now))
        if left:
            self._fixture_leaks.append(f"fixture {fixturedef.argname!r} left behind:\n{left}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Compare after every fixture of the test is down, and fail the test on a difference."""
        result = yield
        kinds = _checked_kinds(item)
        left = self._settle(
            lambda now: self._foreign_to_fixtures(now.minus(self._before)).only(kinds)
        )
        messages, self._fixture_leaks = self._fixture_leaks, []
        if left:
            messages.append(f"test left behind:\n{left}")
        if messages:
            pytest.fail("\n".join(messages), pytrace=False)
        return result

    def _foreign_to_fixtures(self, new: Snapshot) -> Snapshot:
        new = new.minus(*self._wide.values())
        hosts = {pid for owned in self._wide.values() for pid, _ in owned.processes}
        if hosts:
            new.processes = {
                key: text for key, text in new.processes.items() if not _descends(key[0], hosts)
            }
        # A pool starts its threads as it needs them: one more is its fixture's.
        pools = {_pool(thread) for owned in self._wide.values() for (thread,) in owned.threads}
        pools.discard("")
        new.threads = {key: text for key, text in new.threads.items() if _pool(key[0]) not in pools}
        return new

    def _settle(self, remaining: Any) -> Snapshot:
        """Return what remains after the grace period, polling: a clean test costs nothing."""
        left: Snapshot = remaining(self.inspector.take())
        if left:
            gc.collect()
        deadline = time.monotonic() + GRACE_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            left = remaining(self.inspector.take())
        return left


def _common(owned: Snapshot, now: Snapshot) -> Snapshot:
    return owned.minus(owned.minus(now))


def _descends(pid: int, hosts: set[int]) -> bool:
    try:
        return any(parent.pid in hosts for parent in psutil.Process(pid).parents())
    except psutil.Error:
        return True  # gone


def _checked_kinds(item: pytest.Item) -> frozenset[str]:
    """Return the kinds to check: all, less those of the leaks_ok markers."""
    kinds = frozenset(KINDS)
    for marker in item.iter_markers("leaks_ok"):
        if not marker.args or not isinstance(marker.args[0], str) or not marker.args[0].strip():
            pytest.fail("leaks_ok needs a reason: @pytest.mark.leaks_ok('why')", pytrace=False)
        only = frozenset(marker.kwargs.get("only", KINDS))
        if unknown := only - frozenset(KINDS):
            pytest.fail(f"leaks_ok(only=...): {sorted(unknown)} not in {KINDS}", pytrace=False)
        kinds -= only
    return kinds


def pytest_configure(config: pytest.Config) -> None:
    """Move the default temporary directory and start checking."""
    original = tempfile.gettempdir()
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", original)  # where tmp_path goes
    directory = ScratchDirectory("test", original)  # the next session removes a killed one's
    scratch = directory.path
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    session = os.environ[SESSION_VARIABLE] = uuid.uuid4().hex
    config.pluginmanager.register(LeakChecker(Inspector(scratch, session)), "lesto-leaks")
    config.add_cleanup(directory.close)
