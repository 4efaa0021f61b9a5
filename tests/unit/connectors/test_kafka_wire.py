"""The small protocol client against a scripted peer: lost answers, garbage, SASL."""

import base64
import contextlib
import hashlib
import hmac
import socket
import struct
import threading

import pytest

from lesto.connectors.errors import KafkaRefusedError, KafkaUnavailableError
from lesto.connectors.kafka import wire
from lesto.connectors.kafka.sasl import Plain, Scram
from lesto.connectors.kafka.transactions import NothingToEndError, TransactionClient
from lesto.connectors.kafka.wire import Connection, Reader, Security, WireError, Writer

ALL_VERSIONS = {api: (0, 9) for api in wire.VERSIONS}


class Peer:
    """A broker of one thread that answers requests by ``answer(api, body)``: bytes, or None to hang
    up. It is its own coordinator."""

    def __init__(self, answer, versions=None):
        self.answer = answer
        self.versions = ALL_VERSIONS if versions is None else versions
        self.asked = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._connections = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread, connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            thread.join(5)
        self._thread.join(5)

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._talk, args=(connection,))
            self._connections.append((thread, connection))
            thread.start()

    def _talk(self, connection):
        try:
            while True:
                head = self._read(connection, 4)
                data = self._read(connection, struct.unpack(">i", head)[0])
                api, _, correlation, length = struct.unpack(">hhih", data[:10])
                body = data[10 + length :]
                flexible = wire.VERSIONS[api][1]
                reply = self._reply(api, body[1:] if flexible else body)
                if reply is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                reply = struct.pack(">i", correlation) + (b"\0" if flexible else b"") + reply
                connection.sendall(struct.pack(">i", len(reply)) + reply)
        except OSError:
            return

    def _reply(self, api, body):
        if api == wire.API_VERSIONS:
            out = Writer().int16(0).int32(len(self.versions))
            for key, (low, high) in self.versions.items():
                out.int16(key).int16(low).int16(high)
            return out.done()
        if api == wire.FIND_COORDINATOR:
            host, port = self.address
            found = Writer().int32(0).int16(0).int16(-1).int32(1)
            return found.string(host).int32(port).done()
        self.asked.append(api)
        return self.answer(api, body)

    @staticmethod
    def _read(connection, count):
        data = b""
        while len(data) < count:
            part = connection.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data


def ended(code):
    return Writer().int32(0).int16(code).done()


def client(peer, deadline_s=5.0):
    return TransactionClient([peer.address], Security(), deadline_s)


def in_turn(*answers):
    left = list(answers)
    return lambda _api, _body: left.pop(0)


def test_numbers_and_strings_survive_their_encoding():
    body = (
        Writer().int8(-1).int16(-2).int32(3).int64(-(2**60)).string("ä").blob(b"xy").varint(300)
    ).compact_string("long" * 50).done()  # fmt: skip
    r = Reader(body)
    assert (r.int8(), r.int16(), r.int32(), r.int64()) == (-1, -2, 3, -(2**60))
    assert (r.string(), r.blob(), r.varint(), r.compact_string()) == ("ä", b"xy", 300, "long" * 50)
    with pytest.raises(WireError, match="in the middle of a field"):
        r.int8()


def test_a_commit_whose_answer_is_lost_is_asked_again():
    with Peer(in_turn(None, ended(0))) as peer:
        asking = client(peer)
        asking.commit("x", 1, 0)
        asking.close()
        assert peer.asked == [wire.END_TXN] * 2


@pytest.mark.parametrize("code", [-1, 7, 14, 15, 16, 51])
def test_an_answer_that_may_change_is_waited_for(code):
    with Peer(in_turn(ended(code), ended(code), ended(0))) as peer:
        asking = client(peer)
        asking.commit("x", 1, 0)
        asking.close()
        assert len(peer.asked) == 3


@pytest.mark.parametrize("code", [47, 48, 49, 90, 105])
def test_a_transaction_that_is_not_open_is_not_a_success(code):
    with Peer(in_turn(ended(code))) as peer:
        asking = client(peer)
        with pytest.raises(NothingToEndError):
            asking.commit("x", 1, 0)
        asking.close()


@pytest.mark.parametrize(("code", "why"), [(53, "not authorised"), (87, "error 87")])
def test_a_refusal_is_named_and_not_repeated(code, why):
    with Peer(in_turn(ended(code))) as peer:
        asking = client(peer)
        with pytest.raises(KafkaRefusedError, match=why):
            asking.commit("x", 1, 0)
        asking.close()


def test_no_answer_at_all_ends_in_bounded_time_with_a_name():
    with Peer(lambda _api, _body: None) as peer:
        asking = client(peer, 0.3)
        with pytest.raises(KafkaUnavailableError, match="commit of transaction 'x'"):
            asking.commit("x", 1, 0)
        asking.close()


def test_brokers_that_are_too_old_are_named():
    old = {api: (0, 2) for api in wire.VERSIONS if api != wire.DESCRIBE_TRANSACTIONS}
    with Peer(in_turn(), versions=old) as peer:
        asking = client(peer)
        with pytest.raises(KafkaRefusedError, match=r"version 3\.0"):
            asking.describe("x")
        asking.close()


@pytest.mark.parametrize("garbage", [b"", b"\0", b"\xff" * 3])
def test_garbage_is_no_success(garbage):
    with Peer(lambda _api, _body: garbage) as peer:
        asking = client(peer, 0.3)
        with pytest.raises(KafkaUnavailableError):
            asking.commit("x", 1, 0)
        asking.close()


def test_plain_sends_user_and_password():
    seen = []

    def answer(api, body):
        if api == wire.SASL_HANDSHAKE:
            return Writer().int16(0).int32(0).done()
        seen.append(Reader(body).blob())
        return Writer().int16(0).int16(-1).blob(b"").done()

    with Peer(answer) as peer:
        Connection(*peer.address, Security(sasl=Plain("me", "secret")), 5).close()
    assert seen == [b"\0me\0secret"]


class ScramServer:
    """The other side of RFC 5802."""

    def __init__(self, password, *, lie=False, iterations=4096):
        self.password, self.lie, self.iterations = password, lie, iterations
        self.first = self.challenge = ""
        self.proved = False

    def __call__(self, api, body):
        if api == wire.SASL_HANDSHAKE:
            return Writer().int16(0).int32(0).done()
        text = Reader(body).blob().decode()
        if text.startswith("n,,"):
            self.first = text[3:]
            nonce = self.first.split("r=")[1]
            salt = base64.b64encode(b"salt").decode()
            self.challenge = f"r={nonce}more,s={salt},i={self.iterations}"
            return self._answer(self.challenge)
        without, proof = text.rsplit(",p=", 1)
        signed = f"{self.first},{self.challenge},{without}".encode()
        salted = hashlib.pbkdf2_hmac("sha256", self.password, b"salt", self.iterations)
        client_key = hmac.new(salted, b"Client Key", "sha256").digest()
        stored = hashlib.sha256(client_key).digest()
        mask = hmac.new(stored, signed, "sha256").digest()
        given = bytes(a ^ b for a, b in zip(base64.b64decode(proof), mask, strict=True))
        self.proved = hashlib.sha256(given).digest() == stored
        if not self.proved:
            return Writer().int16(58).string("wrong password").blob(b"").done()
        server_key = hmac.new(salted, b"Server Key", "sha256").digest()
        signature = hmac.new(b"liar" if self.lie else server_key, signed, "sha256").digest()
        return self._answer(f"v={base64.b64encode(signature).decode()}")

    @staticmethod
    def _answer(text):
        return Writer().int16(0).int16(-1).blob(text.encode()).done()


def scram(server, password="secret"):
    with Peer(server) as peer:
        security = Security(sasl=Scram("sha256", "me", password))
        Connection(*peer.address, security, 5).close()


def test_scram_proves_the_password_and_wants_the_brokers_proof():
    server = ScramServer(b"secret")
    scram(server)
    assert server.proved
    with pytest.raises(WireError, match="wrong password"):
        scram(ScramServer(b"secret"), "wrong")
    with pytest.raises(WireError, match="signature is wrong"):
        scram(ScramServer(b"secret", lie=True))
    with pytest.raises(WireError, match="5 iterations"):
        scram(ScramServer(b"secret", iterations=5))
