"""A connection that is alive and carries nothing is noticed."""

import contextlib
import queue
import selectors
import socket
import threading

import pytest

from lesto.common.elements import Watermark
from lesto.taskmanager.core import receipts as core
from lesto.taskmanager.core.receipts import (
    CONNECT_MS_MAX,
    LOOKS_APART_MS_MAX,
    SILENCE_MS_MAX,
    Receipts,
)
from lesto.taskmanager.runtime.errors import ChannelLostError
from lesto.taskmanager.runtime.exchange import receiver
from lesto.taskmanager.runtime.exchange.channels import ChannelKey
from lesto.taskmanager.runtime.exchange.receiver import ExchangeServer, RemoteInput
from lesto.taskmanager.runtime.exchange.sender import RemoteOutput

BEAT_MS = 5_000


class Channel:
    """Looks once a beat, in virtual time."""

    def __init__(self):
        self.receipts = Receipts()
        self.now_ms = 1_000_000

    def beats(self, count, *, sent, heard=None):
        """Whether the channel was found to be lost meanwhile."""
        lost = False
        for _ in range(count):
            if heard is not None:
                self.receipts.heard(heard)
            lost = self.receipts.is_lost(sent, self.now_ms) or lost
            self.now_ms += BEAT_MS
        return lost


def test_a_consumer_that_is_not_there_yet_has_more_time():
    channel = Channel()
    assert not channel.beats(CONNECT_MS_MAX // BEAT_MS, sent=1)
    assert channel.beats(1, sent=1)


def test_a_channel_without_anything_to_send_is_not_lost():
    assert not Channel().beats(100, sent=7, heard=7)


def test_a_consumer_that_says_nothing_is_lost_after_the_limit():
    channel = Channel()
    assert not channel.beats(10, sent=7, heard=7)
    assert not channel.beats(SILENCE_MS_MAX // BEAT_MS - 1, sent=7)
    assert channel.beats(1, sent=7)


def test_what_does_not_arrive_although_the_consumer_speaks_is_lost():
    channel = Channel()
    channel.beats(10, sent=7, heard=7)
    assert not channel.beats(SILENCE_MS_MAX // BEAT_MS - 1, sent=8, heard=7)
    assert channel.beats(1, sent=8, heard=7)


def test_a_slow_network_is_no_lost_channel():
    channel = Channel()
    for received in range(100):
        assert not channel.beats(1, sent=1_000, heard=received)


def test_a_process_that_slept_does_not_blame_its_peers():
    channel = Channel()
    channel.beats(10, sent=7, heard=7)
    channel.now_ms += 10 * LOOKS_APART_MS_MAX
    assert not channel.beats(SILENCE_MS_MAX // BEAT_MS - 1, sent=8)


class Relay:
    """TCP to a port; once muted it reads and passes nothing on."""

    def __init__(self, port):
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.muted = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as ready:
            near = stack.enter_context(self._listener.accept()[0])
            far = stack.enter_context(socket.create_connection(("127.0.0.1", self._to)))
            for one, other in ((near, far), (far, near)):
                ready.register(one, selectors.EVENT_READ, other)
            while not self._over.is_set():
                for key, _ in ready.select(0.02):
                    data = key.fileobj.recv(1 << 16)
                    if not data:
                        return
                    if not self.muted:
                        key.data.sendall(data)

    def close(self):
        self._over.set()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def ends(monkeypatch):
    monkeypatch.setattr(receiver, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(core, "SILENCE_MS_MAX", 300)
    monkeypatch.setattr(core, "CONNECT_MS_MAX", 3_000)
    server = ExchangeServer("127.0.0.1")
    relay = Relay(int(server.uri.rpartition(":")[2]))
    failures, came = queue.SimpleQueue(), queue.SimpleQueue()
    key = ChannelKey("job", 1, 1, "e0", 0, 0)
    channel = RemoteInput(
        key, "token", schema=None, limit_bytes=1_000, give_back=server.give_back,
        wake=lambda: came.put(len(channel.queue)), failed=lambda error: None,
    )  # fmt: skip
    server.register(channel)
    output = RemoteOutput(
        key, "token", f"grpc://127.0.0.1:{relay.port}", schema=None, wake=lambda: None,
        failed=failures.put,
    )  # fmt: skip
    server.watch(output)
    yield output, relay, came, failures
    output.close(graceful=False)
    output.join()
    assert not output._writer_thread.is_alive()
    server.unwatch(output)
    server.unregister(channel)
    relay.close()
    server.stop()


def test_a_connection_that_carries_nothing_more_fails_the_channel(ends):
    output, relay, came, failures = ends
    output.send(Watermark(1))
    assert came.get(timeout=10)
    with pytest.raises(queue.Empty):  # the task takes nothing, and the channel is well
        failures.get(timeout=1)
    relay.muted = True
    output.send(Watermark(2))
    error = failures.get(timeout=10)
    assert isinstance(error, ChannelLostError)
    assert "arrives" in str(error)


def test_a_channel_that_hears_nothing_more_fails_although_all_it_sent_has_come(ends):
    output, relay, came, failures = ends
    output.send(Watermark(1))
    assert came.get(timeout=10)
    relay.muted = True
    assert isinstance(failures.get(timeout=10), ChannelLostError)
