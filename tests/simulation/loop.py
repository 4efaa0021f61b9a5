"""An asyncio event loop of a simulated process: asyncio's own code on virtual time."""

import asyncio
import itertools

from tests.simulation.kernel import US_PER_S, here, kernel
from tests.simulation.shims import Executor

#: What one turn of a loop costs, in microseconds of virtual time: uniform up to this.
TURN_US_MAX = 60


class _Task(asyncio.Task):
    """Its hash is a number of the run: sets of tasks have the same order in every run."""

    _numbers = itertools.count()

    def __init__(self, *args, **kwargs):
        self._number = next(_Task._numbers)
        super().__init__(*args, **kwargs)
        self._log_destroy_pending = False

    def __hash__(self):
        return self._number

    def __eq__(self, other):
        return self is other


class _Selector:
    """Waits for the loop's own wake-ups only: all I/O of the simulation ends in callbacks."""

    def __init__(self, loop):
        self._loop = loop
        self.signal = False

    def select(self, timeout):
        if self.signal or timeout == 0:
            self.signal = False
            kernel().sleep(kernel().rng.randrange(1, TURN_US_MAX))
            return ()
        kernel().park(None if timeout is None else int(timeout * US_PER_S) + 1)
        self.signal = False
        return ()


class SimLoop(asyncio.BaseEventLoop):
    """A loop that one simulated thread runs."""

    def __init__(self, process):
        self._process = process
        self._waker = None
        self._selector = _Selector(self)
        super().__init__()
        self._default_executor = Executor(8, "to-thread")
        self.set_task_factory(lambda loop, coro, **kw: _Task(coro, loop=loop, **kw))
        self.set_debug(False)

    def time(self):
        return self._process.mono_us() / US_PER_S

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        self._selector.signal = True
        if self._waker is not None:
            kernel().unpark(self._waker)

    def _check_closed(self):
        """What is torn down with the simulation may still call."""

    def call_soon(self, callback, *args, context=None):
        if kernel() is None or kernel().closing:
            return asyncio.Handle(callback, args, self, context)
        handle = super().call_soon(callback, *args, context=context)
        current = kernel().current
        if current is not self._waker:
            self._write_to_self()
        return handle

    def call_at(self, when, callback, *args, context=None):
        handle = super().call_at(when, callback, *args, context=context)
        if kernel().current is not self._waker:
            self._write_to_self()
        return handle

    def is_running(self):
        return self._waker is not None and not self._closed

    def serve(self, coroutine):
        """Run in the current thread until the process ends or the coroutine returns."""
        me = kernel().current
        self._waker = me
        me.loop = self
        asyncio._set_running_loop(self)
        main = self.create_task(coroutine)
        while not main.done():
            self._run_once()
        return main.result()

    def call_exception_handler(self, context):
        error = context.get("exception")
        process = self._process
        if not process.alive or process.kernel.closing:
            return
        process.kernel.fail(f"{process.name}: {context.get('message')}: {error!r}")

    def __del__(self):
        self._closed = True


def start_loop(process, name, make_main):
    """A thread of the process that runs ``make_main()`` on a loop of its own."""
    loop = SimLoop(process)
    process.attic["loop"] = loop
    process.spawn(name, lambda: loop.serve(make_main()))
    return loop


__all__ = ["SimLoop", "here", "start_loop"]
