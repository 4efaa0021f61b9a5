"""What is asked of Kafka's transaction coordinators, and what the answers mean.

Each transaction has a producer epoch of its own (see ``writer.py``), so a request that was delayed
in the network can never hit a later transaction of the same id (the flaw that KIP-890 mends on the
side of the brokers), and a request may be repeated until its outcome is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from lesto.connectors.errors import KafkaRefusedError, KafkaUnavailableError
from lesto.connectors.kafka.wire import (
    DESCRIBE_TRANSACTIONS,
    END_TXN,
    FIND_COORDINATOR,
    INIT_PRODUCER_ID,
    LIST_TRANSACTIONS,
    METADATA,
    Connection,
    Reader,
    Security,
    UnsupportedRequestError,
    WireError,
    Writer,
)

#: Time for one question including all its repetitions.
DEADLINE_S: Final = 20.0
#: Time for one answer; a broker that is paused for longer is asked again.
ANSWER_S: Final = 5.0
PAUSE_FIRST_S: Final = 0.02
PAUSE_MAX_S: Final = 0.5
TRANSACTION_COORDINATOR: Final = 1

#: Try again: the coordinator moves, loads, or is about to finish the transaction before.
_TRANSIENT: Final = frozenset({-1, 7, 13, 14, 15, 16, 51})
_REFUSED: Final = {
    29: "not authorised for the topic",
    31: "not authorised on the cluster",
    50: "transaction.timeout.ms is larger than the broker's transaction.max.timeout.ms",
    53: "not authorised for the transactional id",
}
#: The coordinator has nothing to commit for this id, producer and epoch.
_GONE: Final = frozenset({47, 48, 49, 90, 105})

T = TypeVar("T")


class NothingToEndError(Exception):
    """The transaction is not open: it was aborted, or its id has been used again."""


class _TransientError(Exception):
    """Ask again."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transactional id as its coordinator knows it.

    Attributes:
        transactional_id: the id.
        producer_id: of the producer that has it.
        epoch: of that producer.
        state: ``Empty``, ``Ongoing``, ``PrepareCommit``, ``CompleteAbort``, ...
    """

    transactional_id: str
    producer_id: int
    epoch: int
    state: str


class TransactionClient:
    """Asks the coordinators; each call waits for at most ``deadline_s``. One thread at a time.

    Args:
        bootstrap: (host, port) of brokers to begin with.
        security: how to connect.
        deadline_s: for one call.

    Raises (each method):
        KafkaUnavailableError: no answer in time.
        KafkaRefusedError: not authorised, or a broker that is too old.
    """

    def __init__(
        self,
        bootstrap: Sequence[tuple[str, int]],
        security: Security,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._bootstrap = tuple(bootstrap)
        self._security = security
        self._deadline_s = deadline_s
        self._connections: dict[tuple[str, int], Connection] = {}
        self._coordinators: dict[str, tuple[str, int]] = {}

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def describe(self, transactional_id: str) -> Transaction | None:
        """The state of an id; None when the coordinator does not know it."""

        def ask() -> Transaction | None:
            body = Writer().varint(2).compact_string(transactional_id).varint(0).done()
            answer = self._ask_coordinator(transactional_id, DESCRIBE_TRANSACTIONS, body)
            answer.int32()
            if not answer.count(compact=True):
                return None
            code = answer.int16()
            if code == 105:
                return None
            self._check(code, transactional_id)
            answer.compact_string()
            state = answer.compact_string()
            answer.int32()
            answer.int64()
            return Transaction(transactional_id, answer.int64(), answer.int16(), state)

        return self._until_answered(f"the state of transaction '{transactional_id}'", ask)

    def commit(self, transactional_id: str, producer_id: int, epoch: int) -> None:
        """Commit; a transaction that is committed already is fine.

        Raises:
            NothingToEndError: it is not open and this producer and epoch did not commit it.
        """
        self._end(transactional_id, producer_id, epoch, commit=True)

    def abort(self, transactional_id: str, producer_id: int, epoch: int) -> None:
        """Abort an open transaction of a producer that is known to be gone.

        Raises:
            NothingToEndError: it is not open.
        """
        self._end(transactional_id, producer_id, epoch, commit=False)

    def _end(self, transactional_id: str, producer_id: int, epoch: int, *, commit: bool) -> None:
        def ask() -> None:
            body = Writer().string(transactional_id).int64(producer_id).int16(epoch)
            answer = self._ask_coordinator(transactional_id, END_TXN, body.int8(commit).done())
            answer.int32()
            code = answer.int16()
            if code in _GONE:
                raise NothingToEndError(code)
            self._check(code, transactional_id)

        what = "commit" if commit else "abort"
        self._until_answered(f"{what} of transaction '{transactional_id}'", ask)

    def fence(self, transactional_id: str) -> None:
        """Shut out every producer that has the id, and abort what it left open."""

        def ask() -> None:
            # The timeout is that of the next transaction, and there will be none.
            body = Writer().string(transactional_id).int32(60_000).done()
            answer = self._ask_coordinator(transactional_id, INIT_PRODUCER_ID, body)
            answer.int32()
            self._check(answer.int16(), transactional_id)

        self._until_answered(f"fencing of transactional id '{transactional_id}'", ask)

    def open_transactions(self) -> list[str]:
        """Transactional ids with a transaction that is open, on all brokers."""

        def ask() -> list[str]:
            return [i for broker in self._brokers() for i in self._open_on(broker)]

        return self._until_answered("the list of transactions", ask)

    def _open_on(self, broker: tuple[str, int]) -> list[str]:
        body = Writer().varint(2).compact_string("Ongoing").varint(1).varint(0).done()
        answer = self._ask(broker, LIST_TRANSACTIONS, body)
        answer.int32()
        self._check(answer.int16(), "")
        for _ in range(answer.count(compact=True)):
            answer.compact_string()
        found = []
        for _ in range(answer.count(compact=True)):
            found.append(answer.compact_string())
            answer.int64()
            answer.compact_string()
            answer.skip_tags()
        return found

    def _brokers(self) -> list[tuple[str, int]]:
        answer = self._ask_any(METADATA, Writer().int32(0).done())
        brokers = []
        for _ in range(answer.count()):
            answer.int32()
            host, port = answer.string() or "", answer.int32()
            answer.string()
            brokers.append((host, port))
        return brokers

    def _ask_coordinator(self, transactional_id: str, api: int, body: bytes) -> Reader:
        broker = self._coordinators.get(transactional_id)
        if broker is None:
            question = Writer().string(transactional_id).int8(TRANSACTION_COORDINATOR).done()
            answer = self._ask_any(FIND_COORDINATOR, question)
            answer.int32()
            code = answer.int16()
            answer.string()
            answer.int32()
            self._check(code, transactional_id)
            broker = self._coordinators[transactional_id] = (answer.string() or "", answer.int32())
        try:
            return self._ask(broker, api, body)
        except WireError:
            self._coordinators.pop(transactional_id, None)
            raise

    def _ask_any(self, api: int, body: bytes) -> Reader:
        """Ask a broker that we are connected to, else the first that can be reached."""
        known = [*self._connections, *(b for b in self._bootstrap if b not in self._connections)]
        for broker in known[:-1]:
            try:
                return self._ask(broker, api, body)
            except WireError:
                continue
        return self._ask(known[-1], api, body)

    def _ask(self, broker: tuple[str, int], api: int, body: bytes) -> Reader:
        connection = self._connections.get(broker)
        if connection is None:
            connection = Connection(*broker, self._security, ANSWER_S)
            self._connections[broker] = connection
        try:
            return connection.ask(api, body, ANSWER_S)
        except UnsupportedRequestError:
            raise
        except WireError:
            connection.close()
            del self._connections[broker]
            raise

    def _check(self, code: int, transactional_id: str) -> None:
        if code == 0:
            return
        self._coordinators.pop(transactional_id, None)
        if code in _TRANSIENT:
            msg = f"Kafka error {code}"
            raise _TransientError(msg)
        why = _REFUSED.get(code, f"error {code}")
        about = f" for '{transactional_id}'" if transactional_id else ""
        msg = f"Kafka refuses a request about transactions{about}: {why}"
        raise KafkaRefusedError(
            msg, remedy="see the broker's log, its ACLs and transaction.max.timeout.ms"
        )

    def _until_answered(self, what: str, ask: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._deadline_s
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                return ask()
            except UnsupportedRequestError as error:
                msg = f"exactly-once needs Kafka brokers of version 3.0 or later: {error}"
                raise KafkaRefusedError(
                    msg, remedy="update them, or use DeliveryGuarantee.AT_LEAST_ONCE"
                ) from error
            except (WireError, _TransientError) as error:
                if time.monotonic() + pause_s > deadline:
                    msg = f"Kafka did not answer in {self._deadline_s:g} s: {what}: {error}"
                    raise KafkaUnavailableError(
                        msg, remedy="are the brokers of bootstrap.servers up and reachable?"
                    ) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
