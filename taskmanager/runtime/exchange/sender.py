"""The producer's end of a channel to another slot: a Flight DoExchange stream, two I/O threads.

The mailbox thread only appends to a queue. The writer thread connects, encodes and writes; it may
wait for the network. The credit thread reads what the consumer gives back and wakes the mailbox.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.flight as fl

from lesto.common.elements import Barrier, EndOfData, LatencyMarker
from lesto.common.tls import NODE_NAME, TlsFiles
from lesto.taskmanager.core.credit import CreditSender
from lesto.taskmanager.core.receipts import Receipts
from lesto.taskmanager.runtime.errors import (
    ChannelLostError,
    ChannelProtocolError,
    ChannelRefusedError,
)
from lesto.taskmanager.runtime.exchange.channels import ChannelKey, Frozen, OutputChannel
from lesto.taskmanager.runtime.exchange.integrity import unseal
from lesto.taskmanager.runtime.exchange.wire import (
    CHANNEL_ABORTED,
    CHANNEL_CLOSED,
    ChannelEncoder,
    Element,
)

#: Bytes that the consumer's machine has not acknowledged for so long mean that it is out of reach:
#: the channel is lost. As gRPC's servers have it for what they send.
UNACKNOWLEDGED_MS_MAX = 20_000
#: gRPC sets TCP_USER_TIMEOUT only where keep-alive is on; in 24 days it sends no ping.
_NO_PING_MS = 2**31 - 2
#: Longest wait for the I/O threads of a closed channel; a stuck peer costs no more.
JOIN_SECONDS = 2.0


def _client_tls(tls: TlsFiles | None) -> dict[str, Any]:
    if tls is None:
        return {}
    return {
        "tls_root_certs": tls.ca,
        "cert_chain": tls.certificate,
        "private_key": tls.key,
        "override_hostname": NODE_NAME,
    }


class RemoteOutput(OutputChannel):
    """A channel to a task in another slot.

    Args:
        key: names the channel to the consumer's server.
        token: the job's data token.
        uri: the consumer's Flight server.
        schema: the user's columns, or None for rows.
        wake: thread-safe; there is room again.
        failed: thread-safe; called at most once with why the channel is broken.
        tls: this process's certificate; None: the cluster speaks plainly.
    """

    def __init__(
        self,
        key: ChannelKey,
        token: str,
        uri: str,
        *,
        schema: pa.Schema | None,
        wake: Callable[[], None],
        failed: Callable[[BaseException], None],
        tls: TlsFiles | None = None,
    ) -> None:
        self._tls = tls
        self._key = key
        self._token = token
        self._uri = uri
        self._wake = wake
        self._failed = failed
        self._encoder = ChannelEncoder(schema)
        self._credit = CreditSender()
        self._receipts = Receipts()
        self._reader: Any = None
        # No credit yet; only a barrier passes in front of it.
        self._held: deque[Frozen] = deque()
        self._held_bytes = 0
        self._outbox: deque[Frozen] = deque()  # paid for, to be written
        self._cond = threading.Condition()
        self._barrier_released = False  # since the credit thread last looked
        self._closing = False  # write the outbox, then end
        self._aborted = False
        self._broken = False
        self._writer_thread = threading.Thread(
            target=self._write_all, name=f"exchange-out-{key.edge_id}-{key.consumer}", daemon=True
        )
        self._writer_thread.start()

    @property
    def writable(self) -> bool:
        """Whether there is credit and nothing is held back."""
        return self._credit.can_send and not self._held

    @property
    def room(self) -> int | None:
        """As ``CreditSender`` has it."""
        return self._credit.room

    def send(self, element: Element) -> int:
        """Queue an element; without credit it is held until some comes."""
        frozen, nbytes = self._encoder.freeze(element)
        with self._cond:
            if self._closing or self._aborted:
                return nbytes
            self._held.append((frozen, nbytes))
            self._held_bytes += nbytes
            if self._release():
                self._cond.notify()
        return nbytes

    @property
    def held_bytes(self) -> int:
        """Bytes without credit."""
        return self._held_bytes

    def holds(self, checkpoint_id: int) -> bool:
        """Whether the barrier waits behind batches without credit."""
        with self._cond:
            return self._position(checkpoint_id) is not None

    def overtake(self, barrier: Barrier) -> list[Frozen]:
        """Put the barrier behind what is paid for, in front of what is not.

        What was paid for is on its way: the consumer finds it in front of the barrier. Barriers of
        older checkpoints that it overtakes are dropped: they mean nothing any more.
        """
        with self._cond:
            if self._closing or self._aborted:
                return []
            own = self._position(barrier.checkpoint_id)
            front = list(self._held) if own is None else list(self._held)[:own]
            behind = [] if own is None else list(self._held)[own + 1 :]
            front = [entry for entry in front if type(entry[0]) is not Barrier]
            self._held = deque([*front, *behind])
            self._outbox.append((barrier, 0))
            self._release()
            self._cond.notify()
        # The producer ends its data again after a restore, and nobody waits for a marker.
        return [entry for entry in front if type(entry[0]) not in {EndOfData, LatencyMarker}]

    def _position(self, checkpoint_id: int) -> int | None:
        for index, (element, _) in enumerate(self._held):
            if type(element) is Barrier and element.checkpoint_id == checkpoint_id:
                return index
        return None

    def close(self, *, graceful: bool) -> None:
        """End the channel: after what is queued when graceful, at once when not.

        The consumer is told that an ungraceful end is deliberate; only a dead process looks broken.

        The first call counts: a task that has finished is forgotten while its last bytes leave.
        """
        if self._closing:
            return
        if graceful:
            self.send(CHANNEL_CLOSED)
        with self._cond:
            self._closing = True
            self._aborted = self._aborted or not graceful
            self._cond.notify()

    def check(self, now_ms: int) -> None:
        """Fail the channel when it carries nothing any more; thread-safe, every few seconds."""
        with self._cond:
            over = self._aborted or (self._closing and not self._held and not self._outbox)
            if over or not self._receipts.is_lost(self._encoder.encoded, now_ms):
                return
            reader = self._reader
        msg = f"nothing sent on channel {self._key} arrives at {self._uri} any more"
        remedy = "the job restarts by itself; if it comes again, look for broken hardware"
        self._fail(ChannelLostError(msg, remedy=remedy))
        if reader is not None:
            reader.cancel()  # both threads may wait in it for what will not come

    def join(self) -> None:
        """Wait a short while for the I/O threads."""
        self._writer_thread.join(JOIN_SECONDS)

    def _release(self) -> bool:
        """Move to the outbox what credit allows; under the lock."""
        moved = False
        while self._held:
            nbytes = self._held[0][1]
            if nbytes:
                if not self._credit.can_send:
                    break
                self._credit.spend(nbytes)
                self._held_bytes -= nbytes
            elif type(self._held[0][0]) is Barrier:
                self._barrier_released = True
            self._outbox.append(self._held.popleft())
            moved = True
        return moved

    # ------------------------------------------------------------------------------- I/O threads

    def _write_all(self) -> None:
        client = None
        try:
            client = fl.FlightClient(
                self._uri, generic_options=_unacknowledged_limit(), **_client_tls(self._tls)
            )
            key = self._key
            command = (
                key.job_id,
                key.epoch,
                key.attempt,
                key.edge_id,
                key.producer,
                key.consumer,
                self._token,
            )
            descriptor = fl.FlightDescriptor.for_command(msgspec.msgpack.encode(command))
            writer, reader = client.do_exchange(descriptor)
            self._reader = reader
            credits = threading.Thread(
                target=self._read_credits,
                args=(reader,),
                name=f"exchange-credit-{key.edge_id}-{key.consumer}",
                daemon=True,
            )
            credits.start()
            if self._encoder.schema is not None:
                writer.begin(self._encoder.schema)
            self._write_until_closed(writer)
            if self._aborted and not self._broken:
                writer.write_metadata(self._encoder.encode(CHANNEL_ABORTED, 0)[0])
            if not self._broken:
                writer.done_writing()
            credits.join()
        except Exception as error:  # noqa: BLE001 - an I/O thread reports whatever went wrong
            self._fail(error)
        finally:
            if client is not None:
                client.close()

    def _write_until_closed(self, writer: Any) -> None:
        while True:
            with self._cond:
                while not self._outbox and not self._aborted:
                    if self._closing and not self._held:
                        return
                    self._cond.wait()
                if self._aborted:
                    return
                batch = list(self._outbox)
                self._outbox.clear()
            for element, nbytes in batch:
                metadata, body = self._encoder.encode(element, nbytes)
                if body is None:
                    writer.write_metadata(metadata)
                else:
                    writer.write_with_metadata(body, metadata)

    def _read_credits(self, reader: Any) -> None:
        try:
            while True:
                sealed = reader.read_chunk().app_metadata.to_pybytes()
                message = msgspec.msgpack.decode(unseal(sealed, str(self._key)))
                granted, window, received = message
                with self._cond:
                    self._receipts.heard(received)
                    was_writable = self.writable
                    if granted:
                        self._credit.grant(granted, window)
                    if self._release():
                        self._cond.notify()
                    now_writable = self.writable
                    released, self._barrier_released = self._barrier_released, False
                if released or (now_writable and not was_writable):
                    self._wake()
        except StopIteration:
            if not self._closing:
                self._fail(ChannelLostError(f"the consumer of channel {self._key} has gone"))
        except Exception as error:  # noqa: BLE001 - an I/O thread reports whatever went wrong
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._cond:
            first = not self._aborted
            ended = self._closing and not self._held and not self._outbox
            self._broken = self._aborted = True
            self._cond.notify()
        if first and not (ended and isinstance(error, (fl.FlightError, pa.ArrowException))):
            self._failed(_translated(error, self._key, self._uri))


def _unacknowledged_limit() -> list[tuple[str, int]]:
    return [
        ("grpc.keepalive_time_ms", _NO_PING_MS),
        ("grpc.keepalive_timeout_ms", UNACKNOWLEDGED_MS_MAX),
    ]


def _translated(error: BaseException, key: ChannelKey, uri: str) -> BaseException:
    if isinstance(error, fl.FlightUnauthorizedError):
        return ChannelRefusedError(f"channel {key} was refused at {uri}: {_first_line(error)}")
    if isinstance(error, (fl.FlightError, pa.ArrowException, OSError)):
        if "LESTO-4203" in str(error):
            return ChannelProtocolError(f"channel {key}: {_first_line(error)}")
        return ChannelLostError(
            f"the connection to the consumer of channel {key} at {uri} broke: {_first_line(error)}",
            remedy="the job restarts by itself; look for a slot process that was lost",
        )
    return error


def _first_line(error: BaseException) -> str:
    text = str(error).partition(". gRPC client debug context")[0]
    return text.splitlines()[0] if text else type(error).__name__
