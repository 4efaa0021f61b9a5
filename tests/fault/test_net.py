"""What the data channels make of a network that is cut (needs root: network namespaces)."""

import queue
import subprocess
import sys

import pytest

from lesto.common.elements import Watermark
from lesto.taskmanager.runtime.errors import ChannelLostError
from lesto.taskmanager.runtime.exchange import sender
from lesto.taskmanager.runtime.exchange.channels import ChannelKey
from tests.fault import net

SERVER = """
import sys
import pyarrow.flight as fl

class Consumer(fl.FlightServerBase):
    def do_exchange(self, context, descriptor, reader, writer):
        try:
            while True:
                reader.read_chunk()
                print("came", flush=True)
        except StopIteration:
            pass

consumer = Consumer(f"grpc://{sys.argv[1]}:0")
print(consumer.port, flush=True)
consumer.serve()
"""


@pytest.mark.fault
def test_a_consumer_out_of_reach_is_a_lost_channel(monkeypatch):
    if missing := net.missing():
        pytest.skip(missing)
    monkeypatch.setattr(sender, "UNACKNOWLEDGED_MS_MAX", 1_000)
    failures = queue.SimpleQueue()
    with net.Network(1) as network:
        there = network.place("taskmanager", 0)
        process = subprocess.Popen(
            [*there.prefix, sys.executable, "-c", SERVER, there.host],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            port = int(process.stdout.readline())
            output = sender.RemoteOutput(
                ChannelKey("job", 1, 1, "e0", 0, 0), "token", f"grpc://{there.host}:{port}",
                schema=None, wake=lambda: None, failed=failures.put,
            )  # fmt: skip
            output.send(Watermark(1))
            assert process.stdout.readline() == "came\n"
            network.inside("taskmanager-0", "iptables", "-A", "INPUT", "-j", "DROP")
            output.send(Watermark(2))
            # Without the limit nobody notices: the connection waits for the network to come back.
            assert isinstance(failures.get(timeout=20), ChannelLostError)
            output.close(graceful=False)
            output.join()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    assert not network.rest()
