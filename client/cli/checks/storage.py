"""Checkpoint storage: whether it does what exactly once rests on, and how quickly."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Final

from lesto.client.cli.checks.finding import Finding, note, ok, problem
from lesto.client.errors import StorageDoubtError
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.locations import absolute
from lesto.state.errors import CheckpointExistsError
from lesto.state.files import Files

CONTENT: Final = b"written by lesto doctor\n" * 64
#: A storage that is slower makes checkpoints slow: each is some writes in a row.
SLOW_MS: Final = 1_000.0


def storage(config: Configuration) -> Iterator[Finding]:
    """Look at the directories of checkpoints and savepoints."""
    wanted = {
        uri: option.key
        for option in (options.SAVEPOINT_DIR, options.CHECKPOINT_DIR)
        if (uri := config.get(option))
    }
    if not config.get(options.CHECKPOINT_DIR):
        yield note(
            "checkpoint storage",
            f"{options.CHECKPOINT_DIR.key} is not set: checkpoints go with the JobManager",
        )
    for uri, key in wanted.items():
        yield _look(absolute(uri), key)


def _look(uri: str, key: str) -> Finding:
    check = "checkpoint storage" if key == options.CHECKPOINT_DIR.key else "savepoint storage"
    folder = f"{uri.rstrip('/')}/lesto-doctor-{secrets.token_hex(8)}"
    try:
        times = try_out(Files(folder))
    except LestoError as error:
        return problem(check, f"{uri}: {error.message}; see {key}")
    text = ", ".join(f"{name} {ms:.0f} ms" for name, ms in times.items())
    slow = max(times.values()) > SLOW_MS
    return (note if slow else ok)(check, f"{uri}: {text}{' (slow)' if slow else ''}")


def try_out(files: Files) -> dict[str, float]:
    """Create, create again, read, list and delete a file; what each took, in ms.

    Raises:
        StorageError: the storage refused.
        StorageDoubtError: it did, and something else happened than should.
    """
    times: dict[str, float] = {}

    def measured(name: str, begin: float) -> None:
        times[name] = (time.perf_counter() - begin) * 1e3

    begin = time.perf_counter()
    files.create("probe", CONTENT)
    measured("create", begin)
    try:
        _check_content(files, measured)
        begin = time.perf_counter()
        try:
            files.create("probe", b"somebody else's")
        except CheckpointExistsError:
            measured("create if absent", begin)
        else:
            msg = "a file that exists can be created again: two leaders could both win"
            raise StorageDoubtError(msg, remedy="use storage with create-if-absent")
        begin = time.perf_counter()
        if not any(name.rpartition("/")[2] == "probe" for name in files.list("")):
            msg = "a file that was just written is not listed"
            raise StorageDoubtError(msg, remedy="use storage whose listings are current")
        measured("list", begin)
    finally:
        begin = time.perf_counter()
        files.delete_directory("")
        measured("delete", begin)
    return times


def _check_content(files: Files, measured: Callable[[str, float], None]) -> None:
    begin = time.perf_counter()
    if files.open_input("probe").read() != CONTENT:
        msg = "what is read is not what was written"
        raise StorageDoubtError(msg, remedy="look for a cache or proxy in between")
    measured("read", begin)
