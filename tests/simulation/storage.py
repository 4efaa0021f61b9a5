"""Shared durable storage: an object store behind ``lesto.state.files.Files``.

An operation is issued, takes effect, and is answered: three moments. A process may die or be paused
between any two of them, and what it had issued may still take effect. Faults fail an operation
before it has an effect or lose the answer behind it, fill the store, slow it down, show an old
listing, and leave a half-written temporary object when the writer dies.
"""

import io

from lesto.state.errors import CheckpointExistsError, MissingFileError, StorageError
from tests.simulation.kernel import US_PER_MS, here, kernel

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

    def operate(self, verb, path, effect):
        """One operation by the current thread; its result, or raises what the effect raises."""
        k, rng = self.kernel, self.kernel.rng
        process, me = here(), k.current
        answer = []
        before = rng.random() < self.fail_before or process.machine in self.unreachable
        after = not before and rng.random() < self.fail_after

        def happen():
            if before or (not process.alive and rng.random() < 0.5):
                outcome = StorageError(f"storage refused to {verb} {path}: injected")
            else:
                try:
                    outcome = effect()
                except (StorageError, MissingFileError, CheckpointExistsError) as error:
                    outcome = error
                k.trace("store", verb, path, type(outcome).__name__, process.name)
                if after:
                    outcome = StorageError(f"no answer to {verb} {path}: injected")
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
            msg = f"{path} exists: another JobManager has completed this checkpoint"
            raise CheckpointExistsError(msg)
        if self.full:
            if self.torn and self.kernel.rng.random() < self.torn:
                half = data[: len(data) // 2]
                self._appear(f"{path}.{self.kernel.rng.randbytes(3).hex()}.tmp", half)
            msg = f"storage refused to write {path}: no space left"
            raise StorageError(msg)
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


class _Input(io.BytesIO):
    def size(self):
        return len(self.getbuffer())


class SimFiles:
    """``Files`` on the simulated store."""

    is_local = False

    def __init__(self, root_uri, *args, **kwargs):
        self.root_uri = root_uri.rstrip("/") or "/"
        self._root = self.root_uri

    @property
    def _store(self):
        return kernel().attic_store

    def path(self, relative):
        return f"{self._root}/{relative}" if relative else self._root

    def write(self, relative, chunks):
        data, path, process = b"".join(chunks), self.path(relative), here()
        store = self._store
        store.operate("write", path, lambda: store.put(path, data, process, only_new=False))

    def create(self, relative, data):
        path, process, store = self.path(relative), here(), self._store
        store.operate("create", path, lambda: store.put(path, data, process, only_new=True))

    def open_input(self, relative):
        path, store = self.path(relative), self._store

        def read():
            if path not in store.objects:
                msg = f"file {path} is missing"
                raise MissingFileError(msg)
            return store.objects[path]

        return _Input(store.operate("read", path, read))

    def exists(self, relative):
        path, store = self.path(relative), self._store

        def look():
            return path in store.objects or any(p.startswith(f"{path}/") for p in store.objects)

        return store.operate("exists", path, look)

    def list(self, relative, *, recursive=False):
        path, store = self.path(relative), self._store
        start = len(self._root) + 1

        def look():
            found = set()
            for name in store.names(f"{path}/"):
                rest = name[len(path) + 1 :]
                first, slash, _ = rest.partition("/")
                base = name[start : len(path) + 1]
                if slash:
                    found.add(f"{base}{first}/")
                    if recursive:
                        parts = rest.split("/")
                        for depth in range(1, len(parts)):
                            found.add(f"{base}{'/'.join(parts[:depth])}/")
                if recursive or not slash:
                    found.add(name[start:])
            return sorted(found)

        return store.operate("list", path, look)

    def delete(self, relative):
        path, store = self.path(relative), self._store
        return store.operate("delete", path, lambda: store.remove(path))

    def delete_directory(self, relative):
        path, store = self.path(relative), self._store

        def remove():
            for name in [p for p in store.objects if p.startswith(f"{path}/")]:
                store.remove(name)

        store.operate("rmdir", path, remove)
