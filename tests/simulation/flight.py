"""Arrow Flight's DoExchange over the simulated network: what the exchange uses of it.

Metadata travels as bytes; record batches, which nobody changes, by reference. A stream holds a
bounded number of bytes that the reader has not taken; then writing waits, as over HTTP/2.
"""

import types

import pyarrow as pa
import pyarrow.flight as fl

from tests.simulation.kernel import here, kernel
from tests.simulation.network import EOF
from tests.simulation.rpc import connect_sync

#: Bytes on the way or unread at which a writer waits.
WINDOW_BYTES = 64 * 1024


class _Metadata:
    __slots__ = ("_data",)

    def __init__(self, data):
        self._data = data

    def to_pybytes(self):
        return self._data


class _Chunk:
    __slots__ = ("app_metadata", "data")

    def __init__(self, metadata, data):
        self.app_metadata = None if metadata is None else _Metadata(metadata)
        self.data = data


class _Pipe:
    """Both directions of a stream at one end."""

    def __init__(self, end):
        self.end = end
        self._thread = None  # reads
        self._writer = None  # waits for room
        self.unread = 0  # of what this end has sent
        end.flight = self
        end.wake = self._wake

    def _wake(self):
        k = kernel()
        for thread in (self._thread, self._writer):
            if thread is not None:
                k.unpark(thread)

    def send(self, metadata, body, size):
        k = kernel()
        k.check()
        while self.unread >= WINDOW_BYTES and self.end.broken is None:
            self._writer = k.current
            k.park()
        self._writer = None
        if self.end.broken is not None:
            msg = f"Flight stream broke: {self.end.broken}"
            raise fl.FlightUnavailableError(msg)
        self.unread += size
        self.end.send(((body, size), metadata))

    def cancel(self):
        """End the stream at both ends, from any thread."""
        if self.end.broken is None:
            self.end.send(EOF)
            self.end.broken = "cancelled"
            self._wake()

    def read(self):
        k = kernel()
        end = self.end
        while not end.inbox:
            if end.broken is not None:
                msg = f"Flight stream broke: {end.broken}"
                raise fl.FlightUnavailableError(msg)
            if end.ended:
                raise StopIteration
            self._thread = k.current
            k.park()
        self._thread = None
        (body, size), metadata = end.inbox.popleft()
        if isinstance(body, BaseException):
            end.broken = body
            raise body
        other = getattr(end.peer, "flight", None)
        if other is not None:
            other.unread -= size
            if other._writer is not None:
                k.unpark(other._writer)
        return _Chunk(metadata, body)


class _Writer:
    def __init__(self, pipe):
        self._pipe = pipe

    def begin(self, _schema, options=None):
        """The schema is known at the other side."""

    def write_metadata(self, metadata):
        self._pipe.send(bytes(metadata), None, len(metadata))

    def write_with_metadata(self, body, metadata):
        self._pipe.send(bytes(metadata), body, len(metadata) + body.nbytes)

    def done_writing(self):
        self._pipe.end.send(EOF)

    def close(self):
        self.done_writing()


class _Reader:
    def __init__(self, pipe):
        self.read_chunk = pipe.read
        self.cancel = pipe.cancel


class FlightClient:
    """A client of one server; each ``do_exchange`` is a connection."""

    def __init__(self, uri, **_):
        self._address = str(uri).removeprefix("grpc://").removeprefix("grpc+tcp://")
        self._ends = []

    def do_exchange(self, descriptor, options=None):
        try:
            end = connect_sync(here(), self._address, "data")
        except Exception as error:
            raise fl.FlightUnavailableError(str(error)) from None
        self._ends.append(end)
        pipe = _Pipe(end)
        command = descriptor.command
        pipe.send(command, None, 0)
        return _Writer(pipe), _Reader(pipe)

    def close(self):
        for end in self._ends:
            if end.broken is None:
                end.send(EOF)


class FlightServerBase:
    """A server; each stream is served by a thread of its process."""

    def __init__(self, location, **_):
        self._process = here()
        host, _, port = str(location).removeprefix("grpc://").rpartition(":")
        network = kernel().attic_network
        self.port = int(port) or network.free_port()
        self._where = f"{host}:{self.port}"
        network.listen(self._process, self._where, self._sim_accept)

    def _sim_accept(self, connection):
        pipe = _Pipe(connection.server)
        self._process.spawn("flight-server", lambda: self._sim_serve(pipe))

    def _sim_serve(self, pipe):
        try:
            command = pipe.read().app_metadata.to_pybytes()
        except (StopIteration, fl.FlightError):
            return
        descriptor = types.SimpleNamespace(command=command)
        try:
            self.do_exchange(None, descriptor, _Reader(pipe), _Writer(pipe))
        except Exception as error:
            if not isinstance(error, fl.FlightError):
                error = fl.FlightServerError(str(error))
            # Beyond the window: an error is not data.
            pipe.end.send(((error, 0), b""))
        pipe.end.send(EOF)

    def shutdown(self):
        kernel().attic_network.close_listener(self._process, self._where)


sim_flight = types.ModuleType("pyarrow.flight")
vars(sim_flight).update({name: getattr(fl, name) for name in dir(fl)})
sim_flight.FlightClient = FlightClient
sim_flight.FlightServerBase = FlightServerBase


def on_simulated_base(cls, base):
    """The class with every method of its own, on another base class.

    Methods that say ``super()`` are rebuilt, for their ``__class__`` cell must be the new class.
    """
    cell = types.CellType()
    body = {}
    for name, value in vars(cls).items():
        if isinstance(value, types.FunctionType) and "__class__" in value.__code__.co_freevars:
            closure = tuple(
                cell if free == "__class__" else old
                for free, old in zip(value.__code__.co_freevars, value.__closure__, strict=True)
            )
            rebuilt = types.FunctionType(
                value.__code__, value.__globals__, name, value.__defaults__, closure
            )
            rebuilt.__kwdefaults__ = value.__kwdefaults__
            body[name] = rebuilt
        elif name not in {"__dict__", "__weakref__"}:
            body[name] = value
    made = type(cls.__name__, (base,), body)
    cell.cell_contents = made
    return made


__all__ = ["pa", "sim_flight"]
