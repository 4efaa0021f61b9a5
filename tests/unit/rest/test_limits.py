"""Slow, many and hostile clients."""

import json
import socket
import time

import pytest

from lesto.jobmanager.server.rest import limits
from tests.unit.rest.test_rest import JOB, client, jobmanager, server

__all__ = ["client", "jobmanager", "server"]


@pytest.fixture
def quick(monkeypatch):
    """All times are short."""
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.2)
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.05)


def connect(client):
    host, _, port = client.address.rpartition(":")
    made = socket.create_connection((host, int(port)), timeout=10)
    made.settimeout(10)
    return made


def closed_after(connection, trickle=None):
    """Seconds until the server closes; sends a byte now and then meanwhile."""
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < 10:
        try:
            if trickle is not None:
                connection.sendall(trickle)
            if connection.recv(65536) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def read_answer(connection):
    content = b""
    while chunk := connection.recv(65536):
        content += chunk
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


@pytest.mark.parametrize(
    ("start", "trickle"),
    [
        (b"", None),
        (b"GET /jobs HT", None),
        (b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: ", b"x"),
        (b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\nGET /x", b"y"),
        (
            f"POST /jobs/{JOB}/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
            "{".encode(),
            b" ",
        ),
        (
            f"POST /jobs/{JOB}/stop HTTP/1.1\r\nHost: localhost\r\n"
            "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n".encode(),
            b"1\r\n \r\n",
        ),
        (b"DELETE /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n", b"x"),
    ],
    ids=["silent", "half a line", "slow head", "slow second", "slow body", "slow chunks", "linger"],
)
def test_a_slow_client_is_cut_off(quick, client, start, trickle):
    with connect(client) as connection:
        connection.sendall(start)
        assert closed_after(connection, trickle) < 3
    assert client.get("/config").status_code == 200


def test_a_client_that_does_not_read_is_cut_off(quick, client, jobmanager):
    jobmanager.jobs = lambda: [jobmanager.job(JOB).summary] * 200_000
    with connect(client) as connection:
        connection.sendall(b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(1.5)
        assert closed_after(connection) < 3


def test_one_that_asks_for_nothing_makes_room(client, monkeypatch):
    monkeypatch.setattr(limits, "CONNECTIONS_MAX", 5)
    idle = [connect(client) for _ in range(20)]
    try:
        assert client.get("/config").status_code == 200
        time.sleep(0.1)
        assert sum(is_open(connection) for connection in idle) <= 5
    finally:
        for connection in idle:
            connection.close()


def is_open(connection):
    connection.settimeout(0.01)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",  # TLS where none is
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nConnection: close\r\n\r\n",
        b"GET /jobs HTTP/1.1\r\n\r\n",  # no host
        b"GET /jobs HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: "
        + b"x" * 40_000
        + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nA\x00: b\r\n\r\n",
    ],
)
def test_garbage_is_refused_and_closed(client, garbage):
    with connect(client) as connection:
        connection.sendall(garbage)
        try:
            status, _, body = read_answer(connection)
            assert 400 <= status < 500
            assert json.loads(body)["errors"][0].startswith("LESTO-")
        except (ConnectionResetError, IndexError):
            pass  # closed without a word
    assert client.get("/config").status_code == 200


def test_a_body_too_long_is_refused_before_it_is_sent(client):
    with connect(client) as connection:
        connection.sendall(
            f"POST /jobs/{JOB}/stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        connection.settimeout(5)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_pieces_is_refused_as_soon_as_it_is_too_long(client):
    with connect(client) as connection:
        connection.sendall(
            f"POST /jobs/{JOB}/stop HTTP/1.1\r\nHost: localhost\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        piece = b"2000\r\n" + b" " * 8192 + b"\r\n"
        for _ in range(20):
            connection.sendall(piece)
        connection.settimeout(5)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"drain": ' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"drain": NaN}',
        b'{"drain": 1e999}',
        b'{"drain": ' + b"9" * 60_000 + b"}",
        b'{"targetDirectory": "\xff\xfe"}',
        b'{"targetDirectory": "\\ud800"}',
        b'{"targetDirectory": "\\u0000"}',
        b"\xef\xbb\xbf{",
        b"nul",
        b'"text"',
        b"{} {}",
    ],
)
def test_bodies_that_are_no_request(client, body):
    answer = client.request("POST", f"/jobs/{JOB}/stop", content=body)
    assert answer.status_code in {400, 403}


def test_head_answers_as_get_without_a_body(client):
    answer = client.request("HEAD", "/config")
    assert (answer.status_code, answer.text) == (200, "")
    assert int(answer.headers["content-length"]) > 100
    assert client.request("HEAD", "/nowhere").status_code == 404
    assert client.request("HEAD", f"/jobs/{JOB}/stop").status_code == 405


def test_what_is_not_allowed_names_what_is(client):
    answer = client.request("PUT", f"/jobs/{JOB}")
    assert answer.status_code == 405
    assert {part.strip() for part in answer.headers["allow"].split(",")} >= {"GET", "PATCH"}
    for path in ("/jobs/", "/v1/v1/jobs", "//jobs", "/%2e%2e/jobs", "/jobs%00", "/jobs/%ff"):
        assert client.get(path).status_code in {400, 404}


def test_an_answer_of_the_api_is_neither_kept_nor_guessed(client):
    headers = client.get("/config").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
