"""Python's own blocking modules on simulated threads: time, threading, queue, executors, chance.

``installed`` puts them into every loaded ``lesto`` module in place of the real ones, so that the
engine's own threads, locks, queues and pools run unchanged under the kernel.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import queue
import random
import secrets
import sys
import threading
import time
import types
import uuid
from concurrent.futures import ThreadPoolExecutor

from greenlet import GreenletExit

from tests.simulation.kernel import US_PER_S, here, kernel

# ----------------------------------------------------------------------------------------- time


def _mono_us():
    return here().mono_us()


sim_time = types.SimpleNamespace(
    monotonic=lambda: _mono_us() / US_PER_S,
    monotonic_ns=lambda: _mono_us() * 1_000,
    perf_counter=lambda: _mono_us() / US_PER_S,
    perf_counter_ns=lambda: _mono_us() * 1_000,
    time=lambda: here().wall_us() / US_PER_S,
    time_ns=lambda: here().wall_us() * 1_000,
    sleep=lambda seconds: kernel().sleep(seconds * US_PER_S),
    strftime=time.strftime,
    gmtime=time.gmtime,
    localtime=time.gmtime,
    thread_time_ns=lambda: 0,
    process_time=lambda: 0.0,
)


class SimClock:
    """``lesto.common.clock.Clock`` of the process that asks."""

    def now_ms(self):
        return here().wall_us() // 1_000

    def monotonic_ms(self):
        return here().mono_us() // 1_000


# -------------------------------------------------------------------------------------- threading


def _us(timeout):
    return None if timeout is None else max(1, int(timeout * US_PER_S))


class Lock:
    """A lock; may be held over a park."""

    def __init__(self):
        self._owner = None
        self._waiting = collections.deque()

    def acquire(self, blocking=True, timeout=-1):
        if self._owner is None:
            self._owner = kernel().current or self
            return True
        if not blocking:
            return False
        me = kernel().current
        self._waiting.append(me)
        woken = kernel().park(None if timeout < 0 else _us(timeout))
        if not woken:
            with contextlib.suppress(ValueError):
                self._waiting.remove(me)
        return woken

    def release(self):
        while self._waiting:
            self._owner = self._waiting.popleft()
            if self._owner.parked:
                kernel().unpark(self._owner)
                return
        self._owner = None

    def locked(self):
        return self._owner is not None

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *_):
        self.release()


class RLock(Lock):
    """A lock its owner may take again."""

    def __init__(self):
        super().__init__()
        self._depth = 0

    def acquire(self, blocking=True, timeout=-1):
        if self._owner is not None and self._owner is (kernel().current or self):
            self._depth += 1
            return True
        taken = super().acquire(blocking, timeout)
        if taken:
            self._depth = 1
        return taken

    def release(self):
        self._depth -= 1
        if not self._depth:
            super().release()


class Condition:
    """A condition variable."""

    def __init__(self, lock=None):
        self._lock = lock or RLock()
        self._waiting = collections.deque()

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *args):
        return self._lock.__exit__(*args)

    def acquire(self, *args):
        return self._lock.acquire(*args)

    def release(self):
        self._lock.release()

    def wait(self, timeout=None):
        me = kernel().current
        self._waiting.append(me)
        depth = getattr(self._lock, "_depth", 1)
        if isinstance(self._lock, RLock):
            self._lock._depth = 1
        self._lock.release()
        woken = kernel().park(_us(timeout))
        if not woken:
            with contextlib.suppress(ValueError):
                self._waiting.remove(me)
        self._lock.acquire()
        if isinstance(self._lock, RLock):
            self._lock._depth = depth
        return woken

    def wait_for(self, predicate, timeout=None):
        end = None if timeout is None else sim_time.monotonic() + timeout
        while not (result := predicate()):
            left = None if end is None else end - sim_time.monotonic()
            if left is not None and left <= 0:
                return predicate()
            self.wait(left)
        return result

    def notify(self, n=1):
        while n and self._waiting:
            thread = self._waiting.popleft()
            if thread is not None and thread.parked:
                kernel().unpark(thread)
                n -= 1

    def notify_all(self):
        self.notify(len(self._waiting))


class Event:
    """An event."""

    def __init__(self):
        self._set = False
        self._condition = Condition(Lock())

    def is_set(self):
        return self._set

    def set(self):
        self._set = True
        self._condition.notify_all()

    def clear(self):
        self._set = False

    def wait(self, timeout=None):
        if not self._set:
            with self._condition:
                self._condition.wait_for(lambda: self._set, timeout)
        return self._set


class Thread:
    """A thread of the process that starts it."""

    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, *, daemon=None):
        self.name = name or "thread"
        self.daemon = daemon
        self._target, self._args, self._kwargs = target, args, kwargs or {}
        self._over = Event()
        self._started = False

    def start(self):
        self._started = True
        here().spawn(self.name, self.run_to_end)

    def run(self):
        if self._target is not None:
            self._target(*self._args, **self._kwargs)

    def run_to_end(self):
        try:
            self.run()
        finally:
            self._over.set()

    def is_alive(self):
        return self._started and not self._over.is_set()

    def join(self, timeout=None):
        self._over.wait(timeout)


class Timer(Thread):
    """Calls back later."""

    def __init__(self, interval, function, args=None, kwargs=None):
        super().__init__(target=function, args=args or (), kwargs=kwargs, name="timer")
        self._interval = interval
        self._cancelled = Event()

    def cancel(self):
        self._cancelled.set()

    def run(self):
        if not self._cancelled.wait(self._interval):
            super().run()


sim_threading = types.SimpleNamespace(
    Thread=Thread,
    Timer=Timer,
    Lock=Lock,
    RLock=RLock,
    Condition=Condition,
    Event=Event,
    local=threading.local,
    get_ident=lambda: id(kernel().current),
    current_thread=lambda: kernel().current,
    main_thread=lambda: None,
)


# ------------------------------------------------------------------------------------------ queue


class SimpleQueue:
    """An unbounded queue."""

    def __init__(self, maxsize=0):
        self._items = collections.deque()
        self._condition = Condition(Lock())

    def put(self, item, block=True, timeout=None):
        self._items.append(item)
        self._condition.notify()

    put_nowait = put

    def get(self, block=True, timeout=None):
        if not self._items:
            if not block:
                raise queue.Empty
            with self._condition:
                self._condition.wait_for(lambda: self._items, timeout)
            if not self._items:
                raise queue.Empty
        return self._items.popleft()

    def get_nowait(self):
        return self.get(block=False)

    def empty(self):
        return not self._items

    def qsize(self):
        return len(self._items)


sim_queue = types.SimpleNamespace(SimpleQueue=SimpleQueue, Queue=SimpleQueue, Empty=queue.Empty)


# -------------------------------------------------------------------------------------- executors


class Future(concurrent.futures.Future):
    """A future that simulated threads may wait for."""

    def __init__(self):
        super().__init__()
        self._condition = Condition()


class Executor(ThreadPoolExecutor):
    """A pool of simulated threads.

    Started lazily, as many as its bound, by the process that submits.
    """

    def __init__(self, max_workers=None, thread_name_prefix="pool", **_):
        self._bound = max_workers or 4
        self._prefix = thread_name_prefix
        self._work = collections.deque()
        self._idle = collections.deque()
        self._workers = 0
        self._ended = False

    def submit(self, fn, /, *args, **kwargs):
        if self._ended:
            msg = "cannot schedule new futures after shutdown"
            raise RuntimeError(msg)
        future = Future()
        self._work.append((future, fn, args, kwargs))
        if self._idle:
            kernel().unpark(self._idle.popleft())
        elif self._workers < self._bound:
            self._workers += 1
            here().spawn(f"{self._prefix}-{self._workers}", self._loop)
        return future

    def _loop(self):
        while True:
            while not self._work:
                if self._ended:
                    return
                self._idle.append(kernel().current)
                kernel().park()
            future, fn, args, kwargs = self._work.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            # A pool thread gets the processor some time after the work was queued.
            kernel().sleep(kernel().rng.randrange(20, 300))
            try:
                result = fn(*args, **kwargs)
            except GreenletExit:
                raise
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._ended = True
        if cancel_futures:
            while self._work:
                self._work.popleft()[0].cancel()
        while self._idle:
            kernel().unpark(self._idle.popleft())

    def __exit__(self, *_):
        self.shutdown()
        return False


def _run_coroutine_threadsafe(coroutine, loop):
    future = Future()

    def start():
        asyncio.futures._chain_future(asyncio.ensure_future(coroutine, loop=loop), future)

    loop.call_soon_threadsafe(start)
    return future


#: asyncio, but for what waits on real threads.
sim_asyncio = types.ModuleType("asyncio")
vars(sim_asyncio).update(vars(asyncio))
sim_asyncio.run_coroutine_threadsafe = _run_coroutine_threadsafe


# ----------------------------------------------------------------------------------------- chance


def _token_bytes(n=32):
    return kernel().rng.randbytes(n)


def _below(n):
    return kernel().rng.randrange(n)


sim_secrets = types.SimpleNamespace(
    token_hex=lambda n=16: _token_bytes(n).hex(),
    token_bytes=_token_bytes,
    token_urlsafe=lambda n=16: _token_bytes(n).hex(),
    randbelow=_below,
    compare_digest=secrets.compare_digest,
)


class _Uuid(types.ModuleType):
    def __getattr__(self, name):
        return getattr(uuid, name)


sim_uuid = _Uuid("uuid")
sim_uuid.uuid4 = lambda: uuid.UUID(bytes=_token_bytes(16), version=4)


class _Random(types.ModuleType):
    """The module's own functions draw from the seed."""

    def __getattr__(self, name):
        drawn = getattr(kernel().rng, name, None)
        return drawn if drawn is not None and name != "Random" else getattr(random, name)


sim_random = _Random("random")
sim_random.Random = random.Random
sim_random.SystemRandom = lambda: kernel().rng
sim_gc = types.SimpleNamespace(
    collect=lambda *_: 0,
    set_threshold=lambda *_: None,
    freeze=lambda: None,
    unfreeze=lambda: None,
    get_count=lambda: (0, 0, 0),
    callbacks=[],
)

#: Real object -> its stand-in; found in modules by identity.
STAND_INS = [
    (time, sim_time),
    (threading, sim_threading),
    (queue, sim_queue),
    (asyncio, sim_asyncio),
    (secrets, sim_secrets),
    (uuid, sim_uuid),
    (random, sim_random),
    (__import__("gc"), sim_gc),
    (ThreadPoolExecutor, Executor),
    (time.monotonic, sim_time.monotonic),
    (time.sleep, sim_time.sleep),
]


@contextlib.contextmanager
def installed(extra=(), named=()):
    """Replace in every loaded ``lesto`` module.

    Args:
        extra: more (real, stand-in) pairs.
        named: (module name, attribute, stand-in) for what is not found by identity.
    """
    by_id = {id(real): stand_in for real, stand_in in [*STAND_INS, *extra]}
    undo = []
    for name, module in list(sys.modules.items()):
        generated = name.startswith("lesto.proto") and name != "lesto.proto.channels"
        if not name.startswith("lesto.") or generated or module is None:
            continue
        for attribute, value in list(vars(module).items()):
            stand_in = by_id.get(id(value))
            if stand_in is not None:
                undo.append((module, attribute, value))
                setattr(module, attribute, stand_in)
    for name, attribute, stand_in in named:
        module = sys.modules[name]
        undo.append((module, attribute, getattr(module, attribute)))
        setattr(module, attribute, stand_in)
    try:
        yield
    finally:
        for module, attribute, value in reversed(undo):
            setattr(module, attribute, value)
