"""Storage that fails as remote storage does, from a seed; for unit tests and the simulation.

Wraps any :class:`lesto.state.objects.Objects`. Faults: refused before anything happened (503,
throttled), carried out but the answer lost, cut in the middle of an object, out-of-date listings,
slow. The wrapped store's contract holds otherwise: an object appears whole or not at all.
"""

import random
import threading
from dataclasses import dataclass

from lesto.state.objects import TransientError


class MemoryObjects:
    """Objects in a dictionary."""

    def __init__(self):
        self.content = {}
        self._lock = threading.Lock()

    def write(self, path, chunks):
        data = b"".join(chunks())
        with self._lock:
            self.content[path] = data

    def create(self, path, data):
        with self._lock:
            if path in self.content:
                raise FileExistsError(path)
            self.content[path] = bytes(data)

    def size(self, path):
        return len(self._get(path))

    def read(self, path, start, length):
        return self._get(path)[start : start + length]

    def _get(self, path):
        with self._lock:
            if path not in self.content:
                raise FileNotFoundError(path)
            return self.content[path]

    def exists(self, path):
        with self._lock:
            return any(name == path or name.startswith(f"{path}/") for name in self.content)

    def list(self, path, *, recursive):
        start = f"{path.rstrip('/')}/"
        with self._lock:
            names = [name for name in self.content if name.startswith(start)]
        if recursive:
            return names
        found = {}
        for name in names:
            head, slash, _ = name[len(start) :].partition("/")
            found[start + head + slash] = None
        return list(found)

    def delete(self, path):
        with self._lock:
            return self.content.pop(path, None) is not None

    def delete_directory(self, path):
        with self._lock:
            for name in [n for n in self.content if n.startswith(f"{path.rstrip('/')}/")]:
                del self.content[name]


@dataclass(slots=True)
class Faults:
    """Probabilities of each call.

    Attributes:
        refused: 503 or throttled; nothing was done.
        lost: done, but the answer does not come.
        stale: a listing without the newest objects, or with deleted ones.
        slow: takes ``slow_seconds``.
        slow_seconds: passed to ``sleep``.
    """

    refused: float = 0.0
    lost: float = 0.0
    stale: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 5.0


class FaultyObjects:
    """Injects faults into a store.

    Args:
        objects: the store.
        faults: how often; may be changed while it is used.
        seed: decides which calls.
        sleep: what a slow call does; by default it only counts.
    """

    def __init__(self, objects, faults, seed=0, sleep=None):
        self.objects = objects
        self.faults = faults
        self.injected = {"refused": 0, "lost": 0, "stale": 0, "slow": 0}
        self._random = random.Random(seed)
        self._sleep = sleep or (lambda _seconds: None)
        self._lists = {}

    def _drawn(self, name):
        if self._random.random() >= getattr(self.faults, name):
            return False
        self.injected[name] += 1
        return True

    def _call(self, work):
        if self._drawn("slow"):
            self._sleep(self.faults.slow_seconds)
        if self._drawn("refused"):
            msg = "503 SlowDown: please reduce your request rate"
            raise TransientError(msg)
        result = work()
        if self._drawn("lost"):
            msg = "connection reset: the answer was lost"
            raise TransientError(msg)
        return result

    def write(self, path, chunks):
        def work():
            parts = chunks()
            if self._drawn("refused"):
                next(iter(parts), None)
                msg = "connection reset in the middle of the object"
                raise TransientError(msg)
            self.objects.write(path, lambda: parts)

        self._call(work)

    def create(self, path, data):
        self._call(lambda: self.objects.create(path, data))

    def size(self, path):
        return self._call(lambda: self.objects.size(path))

    def read(self, path, start, length):
        return self._call(lambda: self.objects.read(path, start, length))

    def exists(self, path):
        return self._call(lambda: self.objects.exists(path))

    def list(self, path, *, recursive):
        now = self._call(lambda: self.objects.list(path, recursive=recursive))
        before = self._lists.get((path, recursive))
        self._lists[path, recursive] = now
        return before if before is not None and self._drawn("stale") else now

    def delete(self, path):
        return self._call(lambda: self.objects.delete(path))

    def delete_directory(self, path):
        self._call(lambda: self.objects.delete_directory(path))
