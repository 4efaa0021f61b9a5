"""The simulated operating system: virtual time, processes, threads; one seed decides every choice.

A thread is a greenlet. It runs until it parks (waits for something, sleeps, or does I/O) and the
kernel then picks the next one at random among all that could run on any machine. When none can,
time jumps to the next event. Nothing here knows Lesto.
"""

import asyncio
import heapq
import random
import traceback
import zlib
from collections import deque

from greenlet import GreenletExit, getcurrent, greenlet

#: Events of the trace that are kept for the report.
TRACE_KEPT = 400
US_PER_MS = 1_000
US_PER_S = 1_000_000
#: 2026-01-01, the true wall clock at the start of every simulation.
EPOCH_START_US = 1_767_225_600 * US_PER_S


class SimulationStuck(AssertionError):
    """Nothing can ever happen again, or too much has happened."""


class Thread:
    """A greenlet of a process."""

    __slots__ = ("greenlet", "loop", "name", "parked", "process", "ready", "token", "woken")

    def __init__(self, process, name, work):
        self.process = process
        self.name = name
        self.greenlet = greenlet(work, parent=process.kernel.hub)
        self.loop = None  # the asyncio loop it runs, if it runs one
        self.parked = False
        self.ready = False
        self.woken = False
        self.token = 0

    @property
    def finished(self):
        """Whether it has ended."""
        return self.greenlet.dead and bool(self.greenlet.gr_frame is None)


class Process:
    """What dies and is paused as a whole.

    Attributes:
        machine: name; partitions are between machines.
        wall_offset_us: how far its wall clock is off, by skew and jumps.
        paused: stopped by a signal: nothing of it runs, time goes on.
        on_death: called once when it has died, on the kernel's own stack.
    """

    def __init__(self, kernel, machine, name):
        self.kernel = kernel
        self.machine = machine
        self.name = name
        self.pid = next(kernel.pids)
        self.alive = True
        self.paused = False
        self.exit_code = None
        self.wall_offset_us = 0
        self.mono_origin_us = kernel.rng.randrange(10**9)
        self.threads = []
        self.held = []
        self.on_death = []
        self.attic = {}  # what shims keep for the process

    def spawn(self, name, work):
        """Start a thread."""
        thread = Thread(self, name, lambda: self._run(work))
        self.threads.append(thread)
        self.kernel.make_ready(thread)
        return thread

    def _run(self, work):
        try:
            work()
        except GreenletExit:
            pass
        except BaseException as error:
            if self.alive and not self.kernel.closing:
                self.kernel.crashed(self, error)

    def kill(self, code=-9):
        """The process ends at once, wherever it is."""
        if not self.alive:
            return
        self.alive = False
        self.exit_code = code
        self.kernel.trace("died", self.name, code)
        self.held.clear()
        hooks, self.on_death = self.on_death, []
        for hook in hooks:
            hook()

    def pause(self):
        """SIGSTOP."""
        if self.alive and not self.paused:
            self.kernel.trace("paused", self.name)
            self.paused = True

    def resume(self):
        """SIGCONT."""
        if self.alive and self.paused:
            self.kernel.trace("resumed", self.name)
            self.paused = False
            held, self.held = self.held, []
            for thread in held:
                self.kernel.runnable.append(thread)

    def wall_us(self):
        """Its wall clock."""
        return EPOCH_START_US + self.kernel.now_us + self.wall_offset_us

    def mono_us(self):
        """Its monotonic clock."""
        return self.mono_origin_us + self.kernel.now_us


class Kernel:
    """Runs everything.

    Args:
        seed: decides every choice.
        verbose: prints the trace as it grows.
    """

    current_kernel = None

    def __init__(self, seed, *, verbose=False):
        self.rng = random.Random(seed)
        self.now_us = 0
        self.hub = getcurrent()
        self.events = []
        self.runnable = []
        self.current = None
        self.processes = []
        self.closing = False
        self.steps = 0
        self.tail = deque(maxlen=TRACE_KEPT)
        self.hash = 0
        self.failures = []
        self.pids = iter(range(1_000, 10**9))
        self._sequence = 0
        self._verbose = verbose

    # ---------------------------------------------------------------------------------- the trace

    def trace(self, *what):
        """One line of the trace; all lines together make the hash."""
        line = f"{self.now_us} {what}"
        self.hash = zlib.crc32(line.encode(), self.hash)
        self.tail.append(line)
        if self._verbose:
            print(line, flush=True)

    def fail(self, message):
        """An invariant is broken: the run ends."""
        self.trace("VIOLATION", message)
        self.failures.append(message)

    def crashed(self, process, error):
        """A thread has died of an exception nobody caught."""
        frames = "".join(traceback.format_exception(error)[-6:])
        self.fail(f"a thread of {process.name} died of {error!r}\n{frames}")

    # ----------------------------------------------------------------------------- time and events

    def process(self, machine, name):
        """A new process."""
        made = Process(self, machine, name)
        self.processes.append(made)
        return made

    def at(self, delay_us, action, *args):
        """Call back on the kernel's stack."""
        self._sequence += 1
        heapq.heappush(self.events, (self.now_us + int(delay_us), self._sequence, action, args))

    def make_ready(self, thread):
        """It may run."""
        process = thread.process
        if not process.alive or thread.ready:
            return
        thread.ready = True
        if process.paused:
            process.held.append(thread)
        else:
            self.runnable.append(thread)

    def run(self, until, *, steps_max):
        """Go on until ``until()`` or a failure.

        Raises:
            SimulationStuck: no event is left, or more steps than allowed.
        """
        rng, runnable, events = self.rng, self.runnable, self.events
        while not self.failures:
            if runnable:
                count = len(runnable)
                index = int(rng.random() * count) if count > 1 else 0
                thread = runnable[index]
                runnable[index] = runnable[-1]
                runnable.pop()
                process = thread.process
                if process.paused:
                    process.held.append(thread)
                elif process.alive:
                    thread.ready = False
                    self._switch(thread)
                continue
            if until():
                return
            if not events:
                msg = "no event is left: everything waits for ever"
                raise SimulationStuck(msg)
            self.steps += 1
            if self.steps > steps_max:
                msg = f"more than {steps_max} steps"
                raise SimulationStuck(msg)
            self.now_us = max(self.now_us, events[0][0])
            _, _, action, args = heapq.heappop(events)
            try:
                action(*args)
            except Exception:
                self.fail(f"in the simulation itself: {traceback.format_exc(limit=-8)}")

    def _switch(self, thread):
        self.current = thread
        asyncio._set_running_loop(thread.loop)
        thread.greenlet.switch()
        asyncio._set_running_loop(None)
        self.current = None

    def close(self):
        """End every greenlet, so that none outlives the simulation."""
        self.closing = True
        for process in self.processes:
            process.alive = False
            for thread in process.threads:
                if thread.greenlet and not thread.greenlet.dead:
                    self.current = thread
                    asyncio._set_running_loop(thread.loop)
                    thread.greenlet.throw(GreenletExit)
            process.threads.clear()
        asyncio._set_running_loop(None)
        self.current = None
        self.events.clear()
        self.runnable.clear()

    # --------------------------------------------------------------------------- called by threads

    def park(self, timeout_us=None):
        """Wait until ``unpark`` or the timeout; whether it was unparked."""
        thread = self.current
        if self.closing or not thread.process.alive:
            raise GreenletExit
        thread.parked, thread.woken = True, False
        thread.token += 1
        if timeout_us is not None:
            self.at(max(0, timeout_us), self._timeout, thread, thread.token)
        self.hub.switch()
        if self.closing or not thread.process.alive:
            raise GreenletExit
        return thread.woken

    def unpark(self, thread):
        """Let it go on."""
        if thread.parked:
            thread.parked, thread.woken = False, True
            self.make_ready(thread)

    def _timeout(self, thread, token):
        if thread.parked and thread.token == token:
            thread.parked = False
            self.make_ready(thread)

    def sleep(self, us):
        """The current thread sleeps."""
        self.park(max(1, int(us)))

    def check(self):
        """Raise in a thread whose process is dead."""
        if self.closing or (self.current is not None and not self.current.process.alive):
            raise GreenletExit


def kernel():
    """The kernel that runs now."""
    return Kernel.current_kernel


def here():
    """The process whose thread runs now."""
    current = Kernel.current_kernel.current
    return current.process if current is not None else None
