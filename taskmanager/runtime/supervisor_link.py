"""A slot process's stream to its supervisor, its heartbeat, and the watchdog over its mailbox
thread.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.rpc import call_metadata
from lesto.proto import runtime_pb2, runtime_pb2_grpc
from lesto.taskmanager.runtime.mailbox import Mailbox

EXIT_SUPERVISOR_LOST: Final = 71
EXIT_CANCELLATION_TIMEOUT: Final = 72
#: After this the process ends even if its mailbox thread does not come back.
EXIT_GRACE_SECONDS: Final = 2.0
#: Assigned splits and state handles can be many; this bounds one command or event.
MESSAGE_BYTES_MAX: Final = 256 << 20
CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),
)


class SupervisorLink:
    """Carries commands in and events out, in order.

    Args:
        setup: the process's set-up.
        config: for intervals and timeouts.
        mailbox: where commands go.
        flight_uri: this slot's data server.
        metrics_address: this slot's Prometheus endpoint.
    """

    def __init__(
        self,
        setup: dict[str, Any],
        config: Configuration,
        mailbox: Mailbox,
        flight_uri: str,
        metrics_address: str,
    ) -> None:
        self._setup = setup
        self._mailbox = mailbox
        self._interval = config.get(options.HEARTBEAT_INTERVAL).total_seconds()
        self._timeout = config.get(options.HEARTBEAT_TIMEOUT).total_seconds()
        self._cancel_timeout = config.get(options.TASK_CANCELLATION_TIMEOUT).total_seconds()
        hello = runtime_pb2.SlotHello(
            slot_id=setup["slot_id"],
            pid=os.getpid(),
            flight_uri=flight_uri,
            metrics_address=metrics_address,
        )
        self._out: queue.SimpleQueue[runtime_pb2.FromSlot] = queue.SimpleQueue()
        self._out.put(runtime_pb2.FromSlot(hello=hello))
        self._heard = time.monotonic()
        # Cancellations handed to the mailbox and not finished: when the oldest was handed over.
        self._cancelling: dict[int, float] = {}
        self._cancel_count = 0

    def send(self, event: runtime_pb2.TaskEvent) -> None:
        """Send an event; thread-safe, in order."""
        self._out.put(runtime_pb2.FromSlot(task=event))

    def answer(self, inspected: runtime_pb2.Inspected) -> None:
        """Send the answer to a question; thread-safe."""
        self._out.put(runtime_pb2.FromSlot(inspected=inspected))

    def start(
        self,
        handle: Callable[[runtime_pb2.TaskCommand], None],
        connected: Callable[[], None],
        inspect: Callable[[runtime_pb2.Inspect], None],
    ) -> None:
        """Connect and serve.

        Args:
            handle: takes commands, on the mailbox thread.
            connected: called once, when the supervisor has answered.
            inspect: takes questions, on the stream's thread: it must return at once.
        """
        self._inspect = inspect
        for target, name in (
            (lambda: self._serve(handle, connected), "supervisor-stream"),
            (self._beat, "supervisor-heartbeat"),
            (self._watch_stdin, "supervisor-stdin"),
        ):
            threading.Thread(target=target, name=name, daemon=True).start()

    # ------------------------------------------------------------------------------------ threads

    def _outgoing(self) -> Iterator[runtime_pb2.FromSlot]:
        while True:
            yield self._out.get()

    def _serve(
        self,
        handle: Callable[[runtime_pb2.TaskCommand], None],
        connected: Callable[[], None],
    ) -> None:
        channel = grpc.insecure_channel(self._setup["gateway"], options=CHANNEL_OPTIONS)
        stub = runtime_pb2_grpc.SlotGatewayStub(channel)
        try:
            stream = stub.Connect(self._outgoing(), metadata=call_metadata(self._setup["token"]))
            answered = False
            for message in stream:
                self._heard = time.monotonic()
                if not answered:
                    answered = True
                    connected()
                match message.WhichOneof("message"):
                    case "command":
                        self._mailbox.post(self._mail(handle, message.command))
                    case "inspect":
                        self._inspect(message.inspect)
            reason = "the supervisor has closed the stream"
        except grpc.RpcError as error:
            reason = f"the stream to the supervisor broke: {error}"
        except Exception as error:  # noqa: BLE001 - without this thread the process is of no use
            reason = f"the stream to the supervisor failed: {error!r}"
        self._end(EXIT_SUPERVISOR_LOST, reason)

    def _mail(
        self, handle: Callable[[runtime_pb2.TaskCommand], None], command: runtime_pb2.TaskCommand
    ) -> Callable[[], None]:
        if command.WhichOneof("command") != "cancel":
            return lambda: handle(command)
        number = self._cancel_count = self._cancel_count + 1
        self._cancelling[number] = time.monotonic()

        def cancel() -> None:
            handle(command)
            self._cancelling.pop(number, None)

        return cancel

    def _beat(self) -> None:
        """Heartbeats; and the watchdog: neither may depend on the mailbox thread."""
        sequence = 0
        while True:
            sequence += 1
            beat = runtime_pb2.Heartbeat(sequence=sequence)
            self._out.put(runtime_pb2.FromSlot(heartbeat=beat))
            time.sleep(self._interval)
            now = time.monotonic()
            if now - self._heard > self._timeout + self._interval:
                self._end(EXIT_SUPERVISOR_LOST, "the supervisor is silent")
            oldest = min(list(self._cancelling.values()), default=now)
            if self._cancel_timeout and now - oldest > self._cancel_timeout:
                faulthandler.dump_traceback(sys.stderr)
                self._exit(
                    EXIT_CANCELLATION_TIMEOUT,
                    f"a task did not stop within {self._cancel_timeout:g} s of its cancellation",
                )

    def _watch_stdin(self) -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        self._end(EXIT_SUPERVISOR_LOST, "the supervisor has ended")

    # ---------------------------------------------------------------------------------------- end

    def _end(self, code: int, reason: str) -> None:
        """End in good order if the mailbox thread lets us, else without it."""
        self._mailbox.stop()
        time.sleep(EXIT_GRACE_SECONDS)
        self._exit(code, reason)

    def _exit(self, code: int, reason: str) -> None:
        from lesto.common.logs import get_logger

        get_logger("lesto.slot", slot=self._setup["slot_id"]).error("slot.ends", reason=reason)
        os._exit(code)
