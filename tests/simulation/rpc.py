"""gRPC over the simulated network: what the engine uses of ``grpc`` and ``grpc.aio``.

Messages are serialised by the generated stubs and parsed at the other side, calls end with the
statuses of real gRPC: UNAVAILABLE when the connection breaks, the handler's status else; a client
that goes away cancels the handler.
"""

import asyncio
import inspect
import types

import grpc
from greenlet import GreenletExit
from grpc.aio import AbortError, AioRpcError, Metadata

from tests.simulation.kernel import here, kernel
from tests.simulation.network import EOF, Broken

#: (kind, payload): a message, the metadata that opens a call, or the status that ends it.
MESSAGE, OPEN, STATUS = range(3)
AIO_EOF = grpc.aio.EOF


class _RpcError(grpc.RpcError):
    def __init__(self, code, details, trailing=()):
        super().__init__(f"{code.name}: {details}")
        self._code, self._details, self._trailing = code, details, trailing

    def code(self):
        return self._code

    def details(self):
        return self._details

    def trailing_metadata(self):
        return self._trailing


def _aio_error(code, details, trailing=()):
    return AioRpcError(code, Metadata(), Metadata(*trailing), details=details)


class _AsyncEnd:
    """An end of a connection read by a coroutine."""

    def __init__(self, end, loop):
        self.end = end
        self._loop = loop
        self._waiter = None
        end.wake = self._wake

    def _wake(self):
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._loop.call_soon_threadsafe(lambda: waiter.done() or waiter.set_result(None))

    async def next(self):
        """The next item; EOF; or raises Broken."""
        end = self.end
        while not end.inbox:
            if end.broken is not None:
                raise end.broken
            if end.ended:
                return EOF
            self._waiter = self._loop.create_future()
            await self._waiter
        return end.inbox.popleft()


# ------------------------------------------------------------------------------------- the client


class _Call:
    """A streaming call of ``grpc.aio``; reading it also gives unary answers."""

    def __init__(self, channel, path, serialize, deserialize, requests, metadata):
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._path = path
        self._serialize, self._deserialize = serialize, deserialize
        self._metadata = tuple(metadata or ())
        self._cancelled = False
        self._reading = None
        self._status = None
        self._end = None
        self._opened = self._loop.create_future()
        self._writer = self._loop.create_task(self._run(requests))
        channel.calls.add(self)

    async def _run(self, requests):
        loop = self._loop
        process = here()

        def done(connection, why):
            def tell():
                if not self._opened.done():
                    self._opened.set_result((connection, why))
                elif connection is not None:
                    connection.reset()

            if process.alive:
                loop.call_soon_threadsafe(tell)

        kernel().attic_network.connect(process, self._channel.address, "rpc", done)
        connection, why = await asyncio.shield(self._opened)
        if connection is None:
            self._status = (grpc.StatusCode.UNAVAILABLE, f"failed to connect: {why}", ())
            self._wake_reader()
            return
        self._end = _AsyncEnd(connection.client, loop)
        connection.client.send((OPEN, self._path.encode(), self._metadata))
        self._wake_reader()
        async for request in _aiter(requests):
            connection.client.send((MESSAGE, self._serialize(request)))
        connection.client.send(EOF)

    def _wake_reader(self):
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    def cancelled(self):
        return self._cancelled

    def done(self):
        return self._cancelled or self._status is not None

    def cancel(self):
        if self.done():
            return False
        self._cancelled = True
        self._hang_up()
        self._wake_reader()
        if self._end is not None:
            self._end._wake()
        return True

    def _hang_up(self):
        self._writer.cancel()
        self._channel.calls.discard(self)
        if self._end is not None and self._end.end.broken is None:
            end = self._end.end
            end.peer.travel(_reset())
            end.connection.closed = True

    def __aiter__(self):
        return self

    async def __anext__(self):
        item = await self.read()
        if item is AIO_EOF:
            raise StopAsyncIteration
        return item

    async def read(self):
        while True:
            if self._cancelled:
                raise asyncio.CancelledError
            if self._status is not None:
                return self._finish()
            if self._end is None:
                self._reading = self._loop.create_future()
                await self._reading
                continue
            try:
                item = await self._next()
            except ConnectionError as error:
                self._status = (grpc.StatusCode.UNAVAILABLE, str(error), ())
                self._hang_up()
                continue
            if item is None:
                continue
            if item is EOF:
                self._status = (grpc.StatusCode.UNAVAILABLE, "stream ended without status", ())
            elif item[0] == STATUS:
                self._status = item[2]
                self._hang_up()
            else:
                return self._deserialize(item[1])

    async def _next(self):
        end = self._end.end
        while not end.inbox and end.broken is None and not end.ended and not self._cancelled:
            self._end._waiter = self._loop.create_future()
            await self._end._waiter
        if self._cancelled:
            return None
        return await self._end.next()

    def _finish(self):
        code, details, trailing = self._status
        if code is grpc.StatusCode.OK:
            return AIO_EOF
        raise _aio_error(code, details, trailing)


def _reset():
    return Broken("the client has cancelled the call")


async def _aiter(requests):
    if requests is None:
        return
    if hasattr(requests, "__aiter__"):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


class _Channel:
    """``grpc.aio.Channel``."""

    def __init__(self, address):
        self.address = address
        self.calls = set()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self, grace=None):
        for call in sorted(self.calls, key=id):
            call.cancel()

    def _call(self, path, serialize, deserialize):
        return lambda requests, metadata=None, **_: _Call(
            self, path, serialize, deserialize, requests, metadata
        )

    def stream_stream(self, path, request_serializer=None, response_deserializer=None, **_):
        return self._call(path, request_serializer, response_deserializer)

    def unary_stream(self, path, request_serializer=None, response_deserializer=None, **_):
        make = self._call(path, request_serializer, response_deserializer)
        return lambda request, metadata=None, **_: make([request], metadata)

    def unary_unary(self, path, request_serializer=None, response_deserializer=None, **_):
        make = self._call(path, request_serializer, response_deserializer)

        async def call(request, metadata=None, timeout=None, **_):
            under_way = make([request], metadata)
            try:
                async with asyncio.timeout(timeout):
                    answer = await under_way.read()
            except TimeoutError:
                code = grpc.StatusCode.DEADLINE_EXCEEDED
                raise _aio_error(code, "deadline exceeded") from None
            finally:
                under_way.cancel()
            if answer is AIO_EOF:
                raise _aio_error(grpc.StatusCode.INTERNAL, "no answer")
            return answer

        return call


class _SyncChannel:
    """``grpc.Channel`` used from threads."""

    def __init__(self, address):
        self.address = address

    def close(self):
        """Nothing is kept."""

    def stream_stream(self, path, request_serializer=None, response_deserializer=None, **_):
        def call(requests, metadata=None, **_):
            k, process = kernel(), here()
            end = connect_sync(process, self.address, "slot-rpc")
            end.send((OPEN, path.encode(), tuple(metadata or ())))

            def write():
                for request in requests:
                    end.send((MESSAGE, request_serializer(request)))

            process.spawn("grpc-writer", write)
            while True:
                item = read_sync(k, end)
                if item is EOF:
                    return
                if item[0] == STATUS:
                    code, details, trailing = item[2]
                    if code is grpc.StatusCode.OK:
                        return
                    raise _RpcError(code, details, trailing)
                yield response_deserializer(item[1])

        return call


def connect_sync(process, address, kind):
    """Connect from a thread; the client's end."""
    k = kernel()
    me = k.current
    answer = []

    def done(connection, why):
        answer.append((connection, why))
        k.unpark(me)

    k.attic_network.connect(process, address, kind, done)
    while not answer:
        k.park()
    connection, why = answer[0]
    if connection is None:
        raise _RpcError(grpc.StatusCode.UNAVAILABLE, f"failed to connect: {why}")
    return connection.client


def read_sync(k, end):
    """The next item that has come to an end, for a thread."""
    me = k.current
    end.wake = lambda: k.unpark(me)
    while not end.inbox:
        if end.broken is not None:
            raise _RpcError(grpc.StatusCode.UNAVAILABLE, str(end.broken))
        if end.ended:
            return EOF
        k.park()
    return end.inbox.popleft()


# ------------------------------------------------------------------------------------- the server


class _Context:
    """``ServicerContext`` of one call."""

    def __init__(self, end, metadata, handler):
        self._end = end
        self._metadata = metadata
        self._handler = handler

    def invocation_metadata(self):
        return self._metadata

    def peer(self):
        return f"sim:{self._end.end.peer.process.name}"

    async def read(self):
        try:
            item = await self._end.next()
        except ConnectionError:
            return AIO_EOF
        return AIO_EOF if item is EOF else self._handler.request_deserializer(item[1])

    async def write(self, message):
        self._end.end.send((MESSAGE, self._handler.response_serializer(message)))

    async def abort(self, code, details="", trailing_metadata=()):
        self._end.end.send((STATUS, b"", (code, details, tuple(trailing_metadata))))
        msg = f"{code.name}: {details}"
        raise AbortError(msg)

    def set_code(self, _code):
        """Kept by real servers; unused here."""

    def set_details(self, _details):
        """Kept by real servers; unused here."""

    def cancelled(self):
        return False

    def done(self):
        return self._end.end.broken is not None


async def _requests(context):
    while (message := await context.read()) is not AIO_EOF:
        yield message


class _Server:
    """``grpc.aio.Server``."""

    def __init__(self, interceptors=()):
        self._handlers = []
        self._interceptors = interceptors
        self._process = here()
        self._loop = asyncio.get_running_loop()
        self._address = None
        self._calls = set()

    def add_generic_rpc_handlers(self, handlers):
        self._handlers += handlers

    def add_registered_method_handlers(self, _service, _handlers):
        """The generic ones serve."""

    def add_insecure_port(self, address):
        host, _, port = address.rpartition(":")
        network = kernel().attic_network
        chosen = int(port) or network.free_port()
        self._address = f"{host}:{chosen}"
        if not network.listen(self._process, self._address, self._refuse):
            msg = f"cannot bind {address}"
            raise RuntimeError(msg)
        return chosen

    async def start(self):
        kernel().attic_network.listen_again(self._process, self._address, self._accept)

    async def stop(self, grace=None):
        kernel().attic_network.close_listener(self._process, self._address)
        if grace and self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for call in sorted(self._calls, key=hash):
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    async def wait_for_termination(self, timeout=None):
        await asyncio.Event().wait()

    @staticmethod
    def _refuse(connection):
        connection.reset()

    def _accept(self, connection):
        end = _AsyncEnd(connection.server, self._loop)

        def begin():
            task = self._loop.create_task(self._serve(end))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

        self._loop.call_soon_threadsafe(begin)

    async def _serve(self, end):
        try:
            opening = await end.next()
        except ConnectionError:
            return
        if opening is EOF:
            return
        path, metadata = opening[1].decode(), opening[2]
        details = types.SimpleNamespace(method=path, invocation_metadata=metadata)
        handler = next(h for g in self._handlers if (h := g.service(details)) is not None)
        context = _Context(end, metadata, handler)
        work = self._loop.create_task(self._handle(handler, context))
        # The client has gone: the handler is cancelled.
        end.end.on_break = lambda: self._loop.call_soon_threadsafe(work.cancel)
        if end.end.broken is not None:
            work.cancel()
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            end.end.send((STATUS, b"", (grpc.StatusCode.CANCELLED, "server stopped", ())))
            return
        if work.cancelled():
            return
        error = work.exception()
        if error is None:
            end.end.send((STATUS, b"", (grpc.StatusCode.OK, "", ())))
        elif not isinstance(error, AbortError):
            status = (grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}", ())
            end.end.send((STATUS, b"", status))

    async def _handle(self, handler, context):
        if handler.request_streaming:
            first = _requests(context)
        else:
            first = await context.read()
            if first is AIO_EOF:
                return
        behaviour = (
            handler.stream_stream
            or handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
        )
        made = behaviour(first, context)
        if inspect.isasyncgen(made):
            async for message in made:
                await context.write(message)
        else:
            answer = await made
            if not handler.response_streaming:
                await context.write(answer)


_aio = types.ModuleType("grpc.aio")
vars(_aio).update({name: getattr(grpc.aio, name) for name in dir(grpc.aio)})
_aio.insecure_channel = lambda address, options=None, **_: _Channel(address)
_aio.server = lambda options=None, interceptors=None, **_: _Server(interceptors or ())

#: Stand-in for the ``grpc`` module.
sim_grpc = types.ModuleType("grpc")
vars(sim_grpc).update({name: getattr(grpc, name) for name in dir(grpc)})
sim_grpc.aio = _aio
sim_grpc.insecure_channel = lambda address, options=None, **_: _SyncChannel(address)

__all__ = ["GreenletExit", "connect_sync", "read_sync", "sim_grpc"]
