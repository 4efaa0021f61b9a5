"""CPU seconds of a process and everything below it, read from /proc.

Peers import it in environments that have neither Lesto nor psutil: the standard library must do.
"""

import os
import threading
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PERIOD_SECONDS = 0.1


def tree(root):
    """Ids of ``root`` and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(name)) is not None:
            children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(pid):
    """User and system time of one process, None when it is gone."""
    fields = _stat(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _stat(pid):
    """Fields of /proc/<pid>/stat behind the name: state, ppid, ..."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


class CpuSampler(threading.Thread):
    """Samples the CPU time of a tree of processes; any stretch of it can be asked for later.

    A process that ends keeps counting with what was last seen of it.
    """

    def __init__(self, root=None):
        super().__init__(daemon=True)
        self._root = root or os.getpid()
        self._seen = {}
        self._samples = []
        self._ended = threading.Event()

    def run(self):
        while not self._ended.is_set():
            self._sample()
            self._ended.wait(PERIOD_SECONDS)

    def _sample(self):
        for pid in tree(self._root):
            seconds = cpu_seconds(pid)
            if seconds is not None:
                self._seen[pid] = seconds
        self._samples.append((time.monotonic(), sum(self._seen.values())))

    def stop(self):
        """No more samples."""
        self._ended.set()
        self.join()

    def between(self, start, end):
        """CPU seconds between two moments of ``time.monotonic()``."""
        return self._at(end) - self._at(start)

    def _at(self, moment):
        before = self._samples[0]
        for sample in self._samples:
            if sample[0] >= moment:
                span = sample[0] - before[0]
                share = (moment - before[0]) / span if span else 0.0
                return before[1] + share * (sample[1] - before[1])
            before = sample
        return before[1]
