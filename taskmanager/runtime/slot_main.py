"""Entry of a slot process: ``python -m lesto.taskmanager.runtime.slot_main``.

The first line on standard input is the process's set-up as JSON. Standard input then stays open as
long as the supervisor lives: its end is one of three signs of the supervisor's death, beside the
parent-death signal and the broken stream. Imports are late so that the process is ready soon.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from typing import Any, Final

#: Libraries that would start threads of their own: a slot is one core's worth of work.
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
#: How long an I/O thread waits for the interpreter while the mailbox thread computes in Python. The
#: default of 5 ms would be added to every hop; much less costs throughput.
SWITCH_INTERVAL_SECONDS: Final = 0.0005
ARROW_IO_THREADS: Final = 2
#: Threads for uploads, commits and blocking user code.
IO_THREADS: Final = 8
#: Thresholds of CPython's cycle collector in a slot; see ``_tune_collector``.
GC_ALLOCATIONS: Final = 200_000
GC_YOUNG_RUNS: Final = 50
GC_MIDDLE_RUNS: Final = 100
#: What the C library keeps of freed memory instead of giving it back; see ``_keep_pages``.
KEPT_BYTES: Final = 64 * 1024 * 1024
#: Blocks below this come from the heap (the C library's own maximum).
HEAP_BLOCK_BYTES: Final = 32 * 1024 * 1024
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
EXIT_BAD_SETUP: Final = 64
EXIT_ENGINE_BUG: Final = 70
_PR_SET_PDEATHSIG: Final = 1


def _die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process with its parent (Linux); elsewhere the stream tells."""
    if sys.platform == "linux":
        import ctypes
        import signal

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the call
        os._exit(0)


def _limit_threads() -> None:
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(ARROW_IO_THREADS)


def _ignore_interrupts() -> None:
    """Ctrl-C goes to the whole foreground group; the supervisor decides when slots end."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(setup: dict[str, Any]) -> None:
    import signal
    from concurrent.futures import ThreadPoolExecutor

    from lesto.common import options
    from lesto.common.clock import SystemClock
    from lesto.common.config import Configuration
    from lesto.common.metrics import process_registry
    from lesto.common.metrics_server import serve_metrics
    from lesto.common.tls import internal_tls
    from lesto.state import storage_settings
    from lesto.taskmanager.runtime.addresses import told
    from lesto.taskmanager.runtime.environment import SlotEnvironment
    from lesto.taskmanager.runtime.exchange.receiver import ExchangeServer
    from lesto.taskmanager.runtime.inspector import SlotInspector
    from lesto.taskmanager.runtime.mailbox import Mailbox
    from lesto.taskmanager.runtime.slot import Slot
    from lesto.taskmanager.runtime.supervisor_link import SupervisorLink
    from lesto.taskmanager.runtime.warming import KernelWarmer

    config = Configuration.from_dict(setup["config"])
    storage_settings.configure(config)
    clock = SystemClock()
    mailbox = Mailbox(clock)
    signal.signal(signal.SIGTERM, lambda *_: mailbox.stop())
    exchange = ExchangeServer(setup["bind_host"], setup["host"], tls=internal_tls(config))
    # A port of its own, for a given one is the TaskManager's; or none.
    metrics_port = min(0, config.get(options.METRICS_PORT))
    metrics_bound, _ = serve_metrics(process_registry(), setup["metrics_host"], metrics_port)
    metrics_address = told(metrics_bound, setup["host"])
    link = SupervisorLink(setup, config, mailbox, exchange.uri, metrics_address)
    environment = SlotEnvironment(
        slot_id=setup["slot_id"],
        mailbox=mailbox,
        io=ThreadPoolExecutor(IO_THREADS, thread_name_prefix="slot-io"),
        exchange=exchange,
        send=link.send,
        clock=clock,
        local_dir=setup["local_dir"],
    )
    warmer = KernelWarmer()
    slot = Slot(environment, config, warmer.wait)
    inspector = SlotInspector(mailbox, slot.tasks, link.answer)
    link.start(slot.handle, connected=warmer.start, inspect=inspector.ask)
    try:
        mailbox.run()
    finally:
        slot.cancel_all()


def _keep_pages() -> None:
    """Keep freed pages for the next batch (glibc; elsewhere nothing).

    The columns of a batch are blocks of some hundred KiB. By default each would be a mapping of
    its own, or trimmed off the heap when freed, and the next batch would fault every page in again.
    """
    if sys.platform == "linux":
        import ctypes

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES)
            mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def _tune_collector() -> None:
    """Let the cycle collector look rarely.

    A batch of rows is tens of thousands of tracked objects that reference counting frees a moment
    later; with CPython's default of 700 allocations the collector costs a third of the CPU of a
    row-wise job and finds nothing.
    """
    gc.set_threshold(GC_ALLOCATIONS, GC_YOUNG_RUNS, GC_MIDDLE_RUNS)


def _keep_logs(name: str) -> None:
    """Write the log, and what user code prints, to files too.

    Args:
        name: of the files, without ``.log`` and ``.out``.
    """
    from pathlib import Path

    from lesto.common.log_files import copy_output, write_log

    write_log(Path(f"{name}.log"))
    copy_output(Path(f"{name}.out"))


def main() -> None:
    """Read the set-up, run the slot, end the process without waiting for I/O threads."""
    _ignore_interrupts()
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(EXIT_BAD_SETUP)
    setup = json.loads(line)
    _die_with_parent(setup["parent_pid"])
    _limit_threads()
    _keep_pages()
    _tune_collector()
    from lesto.common.logs import configure_logging

    configure_logging("slot", setup["log_level"])
    if setup["log_file"]:
        _keep_logs(setup["log_file"])
    code = 0
    try:
        _run(setup)
    except BaseException:  # noqa: BLE001 - the last line of defence: say why the process ends
        import traceback

        traceback.print_exc()
        code = EXIT_ENGINE_BUG
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Not sys.exit: threads in the network or in user code must not hold up the end.
    os._exit(code)


if __name__ == "__main__":
    main()
