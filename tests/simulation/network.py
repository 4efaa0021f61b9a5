"""The network between simulated machines: ordered streams with delay, silence and breaks.

A connection has two directions. Each keeps order, as TCP does. A blocked link holds what is sent
until it is healed (half-open silence: nobody is told); a broken one resets. What a dead process had
already sent still arrives, perhaps not all of it.
"""

from collections import deque

from tests.simulation.kernel import US_PER_MS, US_PER_S

#: How long a connection attempt into silence takes to fail.
CONNECT_TIMEOUT_US = 3 * US_PER_S


class Broken(ConnectionError):
    """The connection was reset."""


EOF = object()


class End:
    """One end of a connection: what has arrived, and who waits for it."""

    def __init__(self, connection, process):
        self.connection = connection
        self.process = process
        self.inbox = deque()
        self.broken = None
        self.ended = False
        self.wake = None  # called when something has come
        self.on_break = None  # called when the connection has broken
        self.peer = None
        self._queue = deque()  # on the way to this end: (arrival, item)
        self._pumping = False

    def send(self, item):
        """To the other end; lost when the connection is broken."""
        if self.broken is None and not self.connection.closed:
            self.peer.travel(item)

    def travel(self, item):
        """Something was sent to this end."""
        network = self.connection.network
        if network.kernel.closing or self.connection.severed:
            return
        delay = network.delay_us(self.peer.process, self.process)
        earliest = self._queue[-1][0] if self._queue else 0
        self._queue.append((max(network.kernel.now_us + delay, earliest), item))
        self._schedule()

    def _schedule(self):
        if self._queue and not self._pumping:
            self._pumping = True
            kernel = self.connection.network.kernel
            kernel.at(max(0, self._queue[0][0] - kernel.now_us), self.pump)

    def pump(self):
        """Deliver what is due, unless the link is blocked."""
        self._pumping = False
        network = self.connection.network
        link = (self.peer.process.machine, self.process.machine)
        if link in network.blocked:
            network.stalled.setdefault(link, []).append(self)
            return
        now = network.kernel.now_us
        while self._queue and self._queue[0][0] <= now:
            _, item = self._queue.popleft()
            self._arrive(item)
        self._schedule()

    def _arrive(self, item):
        if not self.process.alive:
            return
        if isinstance(item, Broken):
            if self.broken is None:
                self.broken = item
                if self.on_break is not None:
                    self.on_break()
        elif item is EOF:
            self.ended = True
        else:
            self.connection.network.kernel.trace(
                "net", self.peer.process.name, self.process.name, self.connection.kind, len(item[1])
            )
            self.inbox.append(item)
        if self.wake is not None:
            self.wake()

    def fail(self, why):
        """This end learns that the connection is gone."""
        if self.broken is None:
            self.broken = Broken(why)
            if self.process.alive:
                for hook in (self.on_break, self.wake):
                    if hook is not None:
                        hook()

    def drop_tail(self, keep):
        """What a dying sender had not got out is lost."""
        while len(self._queue) > keep:
            self._queue.pop()


class Connection:
    """Between two processes."""

    def __init__(self, network, client, server, kind):
        self.network = network
        self.kind = kind
        self.closed = False
        self.severed = False  # nothing that is sent arrives any more
        self.client = End(self, client)
        self.server = End(self, server)
        self.client.peer, self.server.peer = self.server, self.client
        client.on_death.append(lambda: self._died(self.client))
        server.on_death.append(lambda: self._died(self.server))

    def _died(self, end):
        rng = self.network.kernel.rng
        if end.broken is None and not self.closed:
            if rng.random() < 0.5 and end.peer._queue:
                end.peer.drop_tail(rng.randrange(len(end.peer._queue) + 1))
            end.peer.travel(Broken("connection reset by peer"))
            end.broken = Broken("dead")

    def reset(self):
        """The network breaks it: both ends learn, each in its own time."""
        if self.closed or self.severed:
            return
        self.severed = True
        self.network.kernel.trace(
            "reset", self.client.process.name, self.server.process.name, self.kind
        )
        for end in (self.client, self.server):
            end.drop_tail(0)
            delay = self.network.kernel.rng.randrange(1_000, 200_000)
            self.network.kernel.at(delay, end.fail, "connection reset")

    @property
    def over(self):
        """Whether nothing travels on it any more."""
        ends = (self.client, self.server)
        return self.closed or any(e.broken is not None or not e.process.alive for e in ends)


class Network:
    """All links and listeners.

    Attributes:
        blocked: (from machine, to machine) pairs that are silent.
        latency_us: usual one-way delay, its range.
        spike: probability of a much longer delay.
    """

    def __init__(self, kernel, *, latency_us=(50, 800), spike=0.01, spike_us=300 * US_PER_MS):
        self.kernel = kernel
        self.latency_us = latency_us
        self.spike = spike
        self.spike_us = spike_us
        self.blocked = set()
        self.stalled = {}
        self.listeners = {}
        self.connections = []
        self.hosts = {}  # address -> machine
        self._port = 40_000

    def delay_us(self, source, target):
        """Of one message."""
        rng = self.kernel.rng
        if source is target or source.machine == target.machine:
            return rng.randrange(10, 120)
        if self.spike and rng.random() < self.spike:
            return rng.randrange(self.latency_us[1], self.spike_us)
        return rng.randrange(*self.latency_us)

    def free_port(self):
        """A port nobody has."""
        self._port += 1
        return self._port

    def resolve(self, process, address):
        """(machine, port) of ``host:port`` as ``process`` sees it."""
        host, _, port = address.rpartition(":")
        machine = process.machine if host in {"127.0.0.1", "localhost"} else self.hosts.get(host)
        return machine, int(port)

    def listen(self, process, address, accept):
        """Whether the address was free; ``accept(connection)`` is called for each connection."""
        _, _, port = address.rpartition(":")
        key = (process.machine, int(port))
        taken = self.listeners.get(key)
        if taken is not None and taken[0].alive:
            return False
        self.listeners[key] = (process, accept)
        return True

    def listen_again(self, process, address, accept):
        """Who has bound an address begins to accept."""
        self.listeners[process.machine, int(address.rpartition(":")[2])] = (process, accept)

    def close_listener(self, process, address):
        """The process accepts no more there."""
        if address is not None:
            self.listeners.pop((process.machine, int(address.rpartition(":")[2])), None)

    def connect(self, process, address, kind, done):
        """Calls ``done(connection or None, why)`` on the kernel's stack."""
        machine, port = self.resolve(process, address)
        link = (process.machine, machine)

        def arrive():
            if not process.alive:
                return
            if link in self.blocked or link[::-1] in self.blocked:
                self.kernel.at(CONNECT_TIMEOUT_US, done, None, "connection timed out")
                return
            found = self.listeners.get((machine, port))
            if found is None or not found[0].alive:
                done(None, "connection refused")
                return
            connection = Connection(self, process, found[0], kind)
            self.connections = [c for c in self.connections if not c.over]
            self.connections.append(connection)
            found[1](connection)
            done(connection, "")

        self.kernel.at(self.kernel.rng.randrange(100, 2_000), arrive)

    def block(self, source, target):
        """Silence from one machine to another."""
        self.kernel.trace("block", source, target)
        self.blocked.add((source, target))

    def heal(self, pairs=None):
        """Links carry again; what was held arrives."""
        for link in sorted(self.blocked if pairs is None else pairs):
            if link in self.blocked:
                self.kernel.trace("heal", *link)
                self.blocked.discard(link)
            for end in self.stalled.pop(link, ()):
                end.pump()
