"""Shared durable storage: an object store behind the engine's ``Objects`` interface.

An operation is issued, takes effect, and is answered: three moments. A process may die or be paused
between any two of them, and what it had issued may still take effect. Faults fail an operation
before it has an effect or lose the answer behind it, fill the store, slow it down, show an old
listing, and leave a half-written temporary object when the writer dies.
"""

import errno

from lesto.state.objects import TransientError
from lesto.state.retrying import RetryingObjects
from lesto.state.storage_settings import RetryPolicy
from tests.simulation.kernel import US_PER_MS, here, kernel
from tests.simulation.shims import sim_time

#: Longest age of what a stale listing shows.
STALE_US_MAX = 800 * US_PER_MS


class Store:
    """The objects, and how the store misbehaves now.

    Attributes:
        fail_before: probability that an operation fails without effect.
        fail_after: probability that it takes effect and the answer is lost.
        slow: probability that it takes up to ``slow_us``.
        stale: probability that a listing is old.
        full: writes are refused.
        torn: probability that a refused write leaves half a temporary object.
        retried: the engine's own retries are around it.
        on_write: called with (path, data, process) when a new object appears.
    """

    def __init__(self, k):
        self.kernel = k
        self.objects = {}
        self.born = {}
        self.gone = {}
        self.latency_us = (200, 3_000)
        self.fail_before = self.fail_after = self.slow = self.stale = 0.0
        self.slow_us = 1_500 * US_PER_MS
        self.full = False
        self.unreachable = set()  # machines
        self.on_write = []
        self.torn = 0.0
        self.retried = True

    def operate(self, verb, path, effect):
        """One operation by the current thread; its result, or raises what the effect raises."""
        k, rng = self.kernel, self.kernel.rng
        process, me = here(), k.current
        answer = []
        before = rng.random() < self.fail_before or process.machine in self.unreachable
        after = not before and rng.random() < self.fail_after

        def happen():
            if before or (not process.alive and rng.random() < 0.5):
                outcome = TransientError(f"refused to {verb}: injected")
            else:
                try:
                    outcome = effect()
                except OSError as error:
                    outcome = error
                k.trace("store", verb, path, type(outcome).__name__, process.name)
                k.attic_nemesis.at_step(process, verb)
                if after:
                    outcome = TransientError(f"no answer to {verb}: injected")
            k.at(self._delay(), reply, outcome)

        def reply(outcome):
            answer.append(outcome)
            k.unpark(me)

        k.at(self._delay(), happen)
        while not answer:
            k.park()
        if isinstance(answer[0], Exception):
            raise answer[0]
        return answer[0]

    def _delay(self):
        rng = self.kernel.rng
        if self.slow and rng.random() < self.slow:
            return rng.randrange(self.latency_us[1], self.slow_us)
        return rng.randrange(*self.latency_us)

    # -------------------------------------------------------------------- effects, on the kernel

    def put(self, path, data, process, *, only_new):
        if only_new and path in self.objects:
            raise FileExistsError(path)
        if self.full:
            if self.torn and self.kernel.rng.random() < self.torn:
                half = data[: len(data) // 2]
                self._appear(f"{path}.{self.kernel.rng.randbytes(3).hex()}.tmp", half)
            raise OSError(errno.ENOSPC, "no space left on device: injected")
        self._appear(path, data)
        for hook in self.on_write:
            hook(path, data, process)

    def _appear(self, path, data):
        self.objects[path] = data
        self.born[path] = self.kernel.now_us
        self.gone.pop(path, None)

    def remove(self, path):
        if path not in self.objects:
            return False
        del self.objects[path]
        self.gone[path] = (self.born.pop(path), self.kernel.now_us)
        return True

    def names(self, prefix):
        """Paths below a prefix, perhaps as they were a moment ago."""
        rng = self.kernel.rng
        if self.stale and rng.random() < self.stale:
            then = self.kernel.now_us - rng.randrange(STALE_US_MAX)
            found = [p for p, born in self.born.items() if born <= then]
            found += [p for p, (born, gone) in self.gone.items() if born <= then < gone]
        else:
            found = list(self.objects)
        return sorted(p for p in found if p.startswith(prefix))


class SimObjects:
    """``lesto.state.objects.Objects`` on the simulated store."""

    def __init__(self, store):
        self._store = store

    def write(self, path, chunks):
        data, process, store = b"".join(chunks()), here(), self._store
        store.operate("write", path, lambda: store.put(path, data, process, only_new=False))

    def create(self, path, data):
        process, store = here(), self._store
        store.operate("create", path, lambda: store.put(path, data, process, only_new=True))

    def size(self, path):
        return self._store.operate("size", path, lambda: len(self._content(path)))

    def read(self, path, start, length):
        part = slice(start, start + length)
        return self._store.operate("read", path, lambda: self._content(path)[part])

    def _content(self, path):
        if path not in self._store.objects:
            raise FileNotFoundError(path)
        return self._store.objects[path]

    def exists(self, path):
        objects = self._store.objects

        def look():
            return path in objects or any(p.startswith(f"{path}/") for p in objects)

        return self._store.operate("exists", path, look)

    def list(self, path, *, recursive):
        store = self._store

        def look():
            found = set()
            for name in store.names(f"{path}/"):
                parts = name[len(path) + 1 :].split("/")
                for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                    found.add(f"{path}/{'/'.join(parts[:depth])}/")
                if recursive or len(parts) == 1:
                    found.add(name)
            return sorted(found)

        return store.operate("list", path, look)

    def delete(self, path):
        store = self._store
        return store.operate("delete", path, lambda: store.remove(path))

    def delete_directory(self, path):
        store = self._store

        def remove():
            for name in [p for p in store.objects if p.startswith(f"{path}/")]:
                store.remove(name)

        store.operate("rmdir", path, remove)


def open_simulated(uri):
    """The storage of a ``sim://`` URI, with the engine's own retries around it."""
    k = kernel()
    objects = SimObjects(k.attic_store)
    if not k.attic_store.retried:
        return objects, uri
    policy = RetryPolicy(attempts=3, initial_backoff_ms=20, max_backoff_ms=200)
    sleep = sim_time.sleep
    return RetryingObjects(objects, policy, sleep=sleep, draw=k.rng.random), uri
