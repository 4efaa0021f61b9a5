"""One process that runs users' code, behind its warden."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lesto.common.logs import get_logger

logger = get_logger("lesto.submission")
_WARDEN: Final = str(Path(__file__).with_name("warden.py"))
_REPORT: Final = "report.json"
#: Time that the warden gets to kill everything and to report.
STOP_SECONDS: Final = 8.0
#: Set by ``lesto run`` for a script it runs: not for this one.
_NOT_INHERITED: Final = frozenset({"LESTO_RUN_OPTIONS", "LESTO_JOBMANAGER"})


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: exit code; negative: the signal that killed it.
        output: what it printed, the middle left out if it is long.
        output_bytes: how much it printed.
    """

    code: int
    output: str = ""
    output_bytes: int = 0

    @property
    def text(self) -> str:
        """How, in words.

        >>> Ended(3).text, Ended(-9).text
        ('ended with exit code 3', 'was killed by signal 9 (SIGKILL)')
        """
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        with contextlib.suppress(ValueError):
            return f"was killed by signal {-self.code} ({signal.Signals(-self.code).name})"
        return f"was killed by signal {-self.code}"


def _environment() -> dict[str, str]:
    """The process's environment; it must find the same lesto as this one."""
    import lesto

    environment = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
    home = str(Path(next(iter(lesto.__path__))).parent)
    if Path(home).name not in {"site-packages", "dist-packages"}:
        paths = environment.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(p for p in (home, *paths) if p)
    return environment


class ChildProcess:
    """A module of Python that runs in a process of its own, in a folder of its own.

    When it ends, when it is stopped, or when this process dies, everything that it has started is
    killed.

    Args:
        module: run as ``python -P -m``.
        given: JSON on its standard input.
        folder: its working directory.
        fds: descriptors that it has too; they are closed here.
    """

    def __init__(
        self, module: str, given: Mapping[str, Any], folder: Path, fds: Sequence[int] = ()
    ) -> None:
        self._report = folder.parent / f"{folder.name}.{_REPORT}"
        setup = {
            "command": [sys.executable, "-P", "-m", module],
            "input": json.dumps(given),
            "cwd": str(folder),
            "env": _environment(),
            "fds": list(fds),
            "report": str(self._report),
        }
        try:
            self._warden = subprocess.Popen(
                [sys.executable, "-I", "-S", _WARDEN],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=fds,
                start_new_session=True,
            )
        finally:
            for descriptor in fds:
                os.close(descriptor)
        assert self._warden.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end tells
            self._warden.stdin.write(json.dumps(setup).encode() + b"\n")
            self._warden.stdin.flush()

    def wait(self, seconds: float) -> Ended | None:
        """How it ended; None: it still runs after so many seconds."""
        try:
            self._warden.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._close()
        return self._ended()

    def stop(self) -> Ended:
        """Kill it and all it has started. It may have ended before."""
        self._close()
        try:
            self._warden.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.error("submission.warden_stuck", pid=self._warden.pid)
            self._warden.kill()
            self._warden.wait()
        return self._ended()

    def _close(self) -> None:
        if self._warden.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._warden.stdin.close()

    def _ended(self) -> Ended:
        try:
            report = json.loads(self._report.read_text("utf-8"))
        except FileNotFoundError:  # the warden itself was killed
            return Ended(-signal.SIGKILL)
        left_out = report["bytes"] - len(report["head"].encode()) - len(report["tail"].encode())
        gap = f"\n... {left_out} bytes left out ...\n" if left_out > 0 else ""
        return Ended(report["exit"], report["head"] + gap + report["tail"], report["bytes"])
