"""The consumer's end of channels from other slots: one Flight server a slot process.

Each channel is a DoExchange stream with a thread of the server that only decodes and queues.
Credit is given back by one thread for all channels, so that the mailbox thread never writes to the
network.
"""

from __future__ import annotations

import contextlib
import hmac
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.flight as fl

from lesto.common.elements import Barrier
from lesto.common.tls import TlsFiles
from lesto.taskmanager.core.credit import CreditReceiver
from lesto.taskmanager.runtime.addresses import with_port
from lesto.taskmanager.runtime.errors import ChannelLostError, ChannelProtocolError
from lesto.taskmanager.runtime.exchange.channels import ChannelKey, InputChannel
from lesto.taskmanager.runtime.exchange.integrity import seal
from lesto.taskmanager.runtime.exchange.wire import (
    CHANNEL_ABORTED,
    CHANNEL_CLOSED,
    ChannelDecoder,
    Element,
)

if TYPE_CHECKING:
    from lesto.taskmanager.runtime.exchange.sender import RemoteOutput

#: A producer may be deployed before its consumer; it is refused when none appears in this time.
CONSUMER_WAIT_SECONDS = 30.0
#: How often a producer hears what has come when there is nothing else to tell it.
BEAT_SECONDS: Final = 5.0


class RemoteInput(InputChannel):
    """A channel from a task in another slot.

    Args:
        key: names the channel.
        token: the job's data token, which the producer must show.
        schema: the user's columns, or None for rows.
        limit_bytes: credit.
        start_bytes: of it to begin with, until ``narrow`` says how much the task can use.
        give_back: thread-safe; sends credit to the producer.
        wake: thread-safe; the consumer has something to do.
        failed: thread-safe; called with why the channel is broken.
    """

    def __init__(
        self,
        key: ChannelKey,
        token: str,
        *,
        schema: pa.Schema | None,
        limit_bytes: int,
        start_bytes: int | None = None,
        give_back: Callable[[RemoteInput, int], None],
        wake: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__()
        self.key = key
        self.token = token
        self._schema = schema
        self._account = CreditReceiver(limit_bytes, start_bytes)
        self._lock = threading.Lock()
        self._give_back = give_back
        self._wake = wake
        self._failed = failed
        self._decoder: ChannelDecoder | None = None
        self._closed = False
        self._ended = False
        # The stream's back channel while the producer is connected. It dies with the stream's
        # thread.
        self._writer: Any = None
        self._write_lock = threading.Lock()
        self._told = False  # something, since the last beat

    @property
    def queued_bytes(self) -> int:
        """Bytes queued."""
        return self._account.queued

    @property
    def window_bytes(self) -> int:
        """Bytes that may be under way or queued."""
        return self._account.window

    def connect(self, writer: Any) -> int:
        """The producer has connected; returns the first grant.

        Raises:
            FlightUnauthorizedError: it did so before.
        """
        with self._lock:
            if self._decoder is not None or self._closed:
                msg = f"channel {self.key} is connected already or closed"
                raise fl.FlightUnauthorizedError(msg)
            self._decoder = ChannelDecoder(self._schema, str(self.key))
            self._writer = writer
            return self._account.first_grant

    def deliver(self, metadata: bytes, body: pa.RecordBatch | None) -> None:
        """A message has come (I/O thread)."""
        assert self._decoder is not None, "delivery before connect"
        if self._ended:
            msg = f"channel {self.key}: a message came after its end"
            raise ChannelProtocolError(msg)
        element, nbytes = self._decoder.decode(metadata, body)
        if element is CHANNEL_CLOSED or element is CHANNEL_ABORTED:
            self._ended = True
        with self._lock:
            if self._closed:
                return
            if nbytes:
                self._account.receive(nbytes)
            self.queue.append((element, nbytes))
        if not nbytes and self.announce is not None and type(element) is Barrier:
            self.announce(element)
        self._wake()

    def cut(self, checkpoint_id: int) -> list[Element] | None:
        """Take a barrier out of the queue, to which an I/O thread adds."""
        with self._lock:
            return super().cut(checkpoint_id)

    def disconnected(self, error: BaseException | None) -> None:
        """The stream is over (I/O thread)."""
        with self._write_lock:
            self._writer = None
        if self._ended or self._closed:
            return
        if error is None or isinstance(error, (fl.FlightError, pa.ArrowException, OSError)):
            why = f": {str(error).splitlines()[0]}" if error is not None and str(error) else ""
            error = ChannelLostError(
                f"the connection to the producer of channel {self.key} broke{why}",
                remedy="the job restarts by itself; look for a slot process that was lost",
            )
        self._failed(error)

    def grant(self, nbytes: int) -> None:
        """Write credit and what has come to the producer (I/O thread); nothing when it is not
        connected.
        """
        with self._write_lock:
            if self._writer is None:
                return
            assert self._decoder is not None, "a writer before a decoder"
            message = (nbytes, self._account.narrowed, self._decoder.decoded)
            self._writer.write_metadata(seal(msgspec.msgpack.encode(message)))
            self._told = True

    def beat(self) -> None:
        """Say what has come, unless something was said since the last beat (I/O thread)."""
        told, self._told = self._told, False
        if not told:
            self.grant(0)
            self._told = False

    def close(self) -> None:
        """The consumer is gone."""
        with self._lock:
            self._closed = True
            self.queue.clear()

    def narrow(self, window_bytes: int) -> bool:
        """Keep a part of the credit back."""
        with self._lock:
            back = self._account.narrow(window_bytes)
            narrowed = self._account.narrowed > 0
        if back:
            self._give_back(self, back)
        return narrowed

    def _taken(self, nbytes: int) -> None:
        with self._lock:
            back = self._account.take(nbytes)
        if back:
            self._give_back(self, back)


def _server_tls(tls: TlsFiles | None) -> dict[str, Any]:
    if tls is None:
        return {}
    return {
        "tls_certificates": [(tls.certificate, tls.key)],
        "verify_client": True,
        "root_certificates": tls.ca,
    }


class ExchangeServer(fl.FlightServerBase):  # type: ignore[misc]
    """The Flight server of a slot process, on a free port.

    Args:
        bind_host: address to listen on.
        host: at which producers reach it; by default the same.
        tls: with it, who connects must show a certificate of the cluster.
    """

    def __init__(
        self, bind_host: str, host: str | None = None, *, tls: TlsFiles | None = None
    ) -> None:
        self.tls = tls
        self._channels: dict[ChannelKey, RemoteInput] = {}
        self._cond = threading.Condition()
        self._stopped = False
        self._watched: set[RemoteOutput] = set()
        self._returns: queue.SimpleQueue[tuple[RemoteInput, int] | None] = queue.SimpleQueue()
        self._credit_thread = threading.Thread(
            target=self._return_credit, name="exchange-returns", daemon=True
        )
        self._credit_thread.start()
        scheme = "grpc" if tls is None else "grpc+tls"
        super().__init__(f"{scheme}://{with_port(bind_host, 0)}", **_server_tls(tls))
        self.uri = f"{scheme}://{with_port(host or bind_host, self.port)}"

    def register(self, channel: RemoteInput) -> None:
        """Expect a producer for the channel."""
        with self._cond:
            self._channels[channel.key] = channel
            self._cond.notify_all()

    def unregister(self, channel: RemoteInput) -> None:
        """Expect it no longer."""
        with self._cond:
            if self._channels.get(channel.key) is channel:
                del self._channels[channel.key]
            self._cond.notify_all()
        channel.close()

    def watch(self, channel: RemoteOutput) -> None:
        """Look regularly whether a channel of this process still carries what is sent."""
        with self._cond:
            self._watched.add(channel)

    def unwatch(self, channel: RemoteOutput) -> None:
        """Look no longer."""
        with self._cond:
            self._watched.discard(channel)

    def give_back(self, channel: RemoteInput, nbytes: int) -> None:
        """Send credit on the channel, from the credit thread."""
        self._returns.put((channel, nbytes))

    def stop(self) -> None:
        """End all streams and the threads."""
        with self._cond:
            self._stopped = True
            self._cond.notify_all()
        self._returns.put(None)
        self._credit_thread.join()
        self.shutdown()

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """One channel's life, on a thread of the server."""
        channel = self._accept(descriptor.command)
        grant = channel.connect(writer)
        error: BaseException | None = None
        try:
            self._returns.put((channel, grant))
            while True:
                chunk = reader.read_chunk()
                metadata = chunk.app_metadata
                if metadata is None:
                    msg = f"channel {channel.key}: a message without metadata"
                    raise ChannelProtocolError(msg)
                channel.deliver(metadata.to_pybytes(), chunk.data)
        except StopIteration:
            pass
        except Exception as caught:  # noqa: BLE001 - the task must hear of whatever went wrong
            error = caught
        channel.disconnected(error)
        if error is not None:
            raise fl.FlightServerError(str(error))

    def _accept(self, command: bytes) -> RemoteInput:
        try:
            job, epoch, attempt, edge, producer, consumer, token = msgspec.msgpack.decode(
                command, type=tuple[str, int, int, str, int, int, str]
            )
        except msgspec.MsgspecError as error:
            msg = f"LESTO-4202: malformed channel request: {error}"
            raise fl.FlightUnauthorizedError(msg) from error
        key = ChannelKey(job, epoch, attempt, edge, producer, consumer)
        deadline = time.monotonic() + CONSUMER_WAIT_SECONDS
        with self._cond:
            while True:
                channel = self._channels.get(key)
                if channel is not None:
                    if not hmac.compare_digest(channel.token.encode(), token.encode()):
                        msg = f"LESTO-4202: channel {key}: wrong data token"
                        raise fl.FlightUnauthorizedError(msg)
                    return channel
                self._refuse_if_stale(key)
                left = deadline - time.monotonic()
                if left <= 0 or self._stopped:
                    msg = f"LESTO-4202: channel {key}: no such consumer here"
                    raise fl.FlightUnauthorizedError(msg)
                self._cond.wait(left)

    def _refuse_if_stale(self, key: ChannelKey) -> None:
        """An older attempt of the same channel, or anything of an older epoch.

        Other channels of the job may be of a later attempt: regions restart alone.
        """
        place = (key.edge_id, key.producer, key.consumer)
        for other in self._channels:
            same = (other.edge_id, other.producer, other.consumer) == place
            newer = other.epoch > key.epoch or (
                same and (other.epoch, other.attempt) > (key.epoch, key.attempt)
            )
            if other.job_id == key.job_id and newer:
                runs = f"{other.epoch}-{other.attempt}"
                msg = f"LESTO-4202: channel {key} is stale: attempt {runs} runs"
                raise fl.FlightUnauthorizedError(msg)

    def _return_credit(self) -> None:
        beat_at = time.monotonic() + BEAT_SECONDS
        while True:
            left = beat_at - time.monotonic()
            if left <= 0:
                self._beat()
                beat_at = time.monotonic() + BEAT_SECONDS
                continue
            try:
                item = self._returns.get(timeout=left)
            except queue.Empty:
                continue
            if item is None:
                return
            channel, nbytes = item
            _write(channel.grant, nbytes)

    def _beat(self) -> None:
        """Tell producers what has come; look at what consumers have told."""
        with self._cond:
            channels, watched = list(self._channels.values()), list(self._watched)
        for channel in channels:
            _write(channel.beat)
        now_ms = time.monotonic_ns() // 1_000_000
        for output in watched:
            output.check(now_ms)


def _write(write: Callable[..., None], *args: int) -> None:
    # Should the stream have broken, its reading thread reports it.
    with contextlib.suppress(fl.FlightError, pa.ArrowException, OSError):
        write(*args)
