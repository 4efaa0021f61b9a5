"""Whether a process of this machine has ended, told by what the kernel says of it.

A JobManager that was killed cannot give its lease up. One that starts on the same machine need not
wait for the lease to end when it can see that the process that held it is gone.
"""

from __future__ import annotations

import os
from pathlib import Path


def process_identity(pid: int | None = None) -> str:
    """``boot/namespace/pid/start`` of a process, which no other ever has; empty: not known here."""
    number = os.getpid() if pid is None else pid
    try:
        start, _ = _start_and_state(number)
        return f"{_scope()}/{number}/{start}"
    except (OSError, ValueError, IndexError):
        return ""


def is_gone(identity: str) -> bool:
    """Whether the process has ended for certain; False when that cannot be known from here."""
    scope, _, rest = identity.rpartition("/")
    scope, _, pid = scope.rpartition("/")
    try:
        if not identity or scope != _scope():
            return False  # another machine, another container or before a reboot
        start, state = _start_and_state(int(pid))
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, ValueError, IndexError):
        return False
    return start != rest or state in {"Z", "X"}


def _scope() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"


def _start_and_state(pid: int) -> tuple[str, str]:
    """Start time in clock ticks since the boot, and the state letter."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    after_name = fields.rpartition(")")[2].split()
    return after_name[19], after_name[0]
