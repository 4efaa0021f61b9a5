"""Where a TaskManager listens and what it says: ``taskmanager.bind-host``, ``taskmanager.host``."""

import socket

import pytest
from played_jobmanager import FakeJobManager, Host

from lesto.common.config import Configuration
from lesto.taskmanager.runtime import addresses
from lesto.taskmanager.runtime.addresses import TaskManagerHosts, own_address, taskmanager_hosts
from lesto.taskmanager.runtime.errors import InsecureDataBindError, UnknownHostError
from lesto.taskmanager.runtime.exchange.receiver import ExchangeServer

JOBMANAGER = "127.0.0.1:6123"


def hosts(jobmanager=JOBMANAGER, **options):
    config = {key.replace("__", ".").replace("_", "-"): value for key, value in options.items()}
    return taskmanager_hosts(Configuration.from_dict(config), jobmanager)


@pytest.mark.parametrize(
    ("options", "listen", "advertised"),
    [
        ({}, "127.0.0.1", "127.0.0.1"),
        ({"taskmanager__host": "10.0.0.5"}, "10.0.0.5", "10.0.0.5"),
        ({"taskmanager__bind_host": "10.0.0.5"}, "10.0.0.5", "10.0.0.5"),
        ({"taskmanager__bind_host": "0.0.0.0", "taskmanager__host": "tm-1"}, "0.0.0.0", "tm-1"),
        ({"taskmanager__bind_host": "127.0.0.1", "taskmanager__host": "tm"}, "127.0.0.1", "tm"),
        # Behind a wildcard: the address towards the JobManager, here the loopback.
        ({"taskmanager__bind_host": "0.0.0.0"}, "0.0.0.0", "127.0.0.1"),
    ],
)
def test_what_is_listened_on_and_told(options, listen, advertised):
    assert hosts(security__token="secret", **options) == TaskManagerHosts(listen, advertised)


def test_beyond_loopback_needs_a_token():
    with pytest.raises(InsecureDataBindError, match=r"listening on 0\.0\.0\.0"):
        hosts(taskmanager__bind_host="0.0.0.0")
    insisted = hosts(taskmanager__bind_host="0.0.0.0", security__insecure=True)
    assert insisted.listen == "0.0.0.0"
    certified = hosts(taskmanager__bind_host="0.0.0.0", security__ssl__internal__enabled=True)
    assert certified.listen == "0.0.0.0"


def test_the_first_jobmanager_that_has_an_address_decides():
    assert own_address(f"no-such-host.invalid:1, {JOBMANAGER}") == "127.0.0.1"


def test_without_a_jobmanager_the_machines_name_decides(monkeypatch):
    monkeypatch.setattr(addresses, "_address_towards", lambda host, port: None)
    monkeypatch.setattr(socket, "gethostname", lambda: "tm-7")
    known = {"tm-7": "10.0.0.7"}
    monkeypatch.setattr(socket, "gethostbyname", known.__getitem__)
    assert own_address("jobmanager:6123") == "10.0.0.7"
    # Debian's own name is 127.0.1.1, where nobody else finds us.
    known["tm-7"] = "127.0.1.1"
    with pytest.raises(UnknownHostError, match="jobmanager:6123"):
        own_address("jobmanager:6123")


def test_the_data_server_listens_on_one_and_names_the_other():
    server = ExchangeServer("127.0.0.1", "localhost")
    try:
        assert server.uri == f"grpc://localhost:{server.port}"
        with pytest.raises(ConnectionRefusedError):  # the other loopback addresses are not it
            socket.create_connection(("127.0.0.2", server.port), timeout=5)
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    finally:
        server.stop()


def test_metrics_are_told_at_the_host_behind_a_wildcard():
    assert addresses.told("0.0.0.0:9249", "tm-1") == "tm-1:9249"
    assert addresses.told("[::]:9249", "fd00::5") == "[fd00::5]:9249"
    assert addresses.told("127.0.0.1:9249", "tm-1") == "127.0.0.1:9249"
    assert not addresses.told("", "tm-1")  # none is served


@pytest.mark.cluster
def test_a_taskmanager_registers_what_is_told():
    manager = FakeJobManager()
    worker = Host(manager.port, 1, host="localhost", bind_host="127.0.0.2")
    try:
        (slot,) = manager.ready_slots(1)
        assert manager.registrations[0].host == "localhost"
        assert slot.flight_uri.startswith("grpc://localhost:")
        port = int(slot.flight_uri.rpartition(":")[2])
        socket.create_connection(("127.0.0.2", port), timeout=5).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    finally:
        worker.stop()
        manager.stop()
