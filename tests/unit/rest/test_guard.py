"""Who may call: tokens, certificates, operating-system users, origins."""

import datetime
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lesto.common.config import Configuration
from lesto.common.metrics import MetricRegistry
from lesto.common.tls import CertificateFileError
from lesto.jobmanager.server.rest import guard, peer
from lesto.jobmanager.server.rest.errors import ForbiddenTargetError, InsecureRestError
from lesto.jobmanager.server.rest.guard import Guard, TargetPolicy
from lesto.jobmanager.server.rest.peer import is_same_user, peer_uid
from lesto.jobmanager.server.rest.server import RestServer
from tests.unit.rest.test_rest import JOB, FakeJobManager, client, jobmanager, server

__all__ = ["client", "jobmanager", "server"]

CODE = ("POST", "/jars/upload")
NOBODY = 65534


@pytest.fixture
def pair():
    """A loopback connection: client, server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
        with near, far:
            yield near, far


def test_the_kernel_says_whose_connection_it_is(pair):
    near, far = pair
    assert peer_uid(near.getsockname(), far.getsockname()) == os.getuid()
    assert is_same_user(near.getsockname(), far.getsockname())
    assert peer_uid(("127.0.0.1", 1), far.getsockname()) is None


def test_so_it_does_for_ipv6_and_mapped_addresses():
    with socket.socket(socket.AF_INET6) as listening:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(("::1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()[:2]) as near:
            far, _ = listening.accept()
            with far:
                assert peer_uid(near.getsockname()[:2], far.getsockname()[:2]) == os.getuid()
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_INET6) as near,
    ):
        near.connect(("::ffff:127.0.0.1", listening.getsockname()[1]))
        far, client_address = listening.accept()
        with far:
            assert peer_uid(client_address, far.getsockname()) == os.getuid()


def test_a_connection_that_is_left_is_nobodys(pair):
    near, far = pair
    names = near.getsockname(), far.getsockname()
    near.close()  # the kernel would say root
    assert peer_uid(*names) is None


def test_where_the_system_does_not_tell_it_is_nobodys(pair, tmp_path):
    near, far = pair
    assert peer_uid(near.getsockname(), far.getsockname(), proc=tmp_path) is None
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text("  sl  local_address\n junk\n 0: a b 01 c d e f x\n")
    assert peer_uid(near.getsockname(), far.getsockname(), proc=tmp_path) is None
    assert peer_uid(("no address", 1), ("127.0.0.1", 2)) is None


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user for a moment")
def test_another_user_of_the_machine_may_look_but_not_run_code(client):
    program = (
        "import encodings.idna, http.client, os\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        f"c = http.client.HTTPConnection({client.address!r}, timeout=10)\n"
        "for method, path in (('GET', '/jobs'), ('POST', '/jars/upload')):\n"
        "    c.request(method, path)\n"
        "    answer = c.getresponse(); answer.read()\n"
        "    print(answer.status)\n"
    )
    found = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.stdout.split() == ["200", "401"], found.stderr
    assert client.request(*CODE).status_code != 401


def test_who_connects_is_whom_the_kernel_names_not_whom_a_header_names(server, jobmanager):
    """Another user could name a connection of the cluster's user: all see them in /proc/net."""
    address = server.start(jobmanager)
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as ours:
        named = "{}:{}".format(*ours.getsockname())
        asked = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(guard, "is_same_user", lambda near, _far: asked.append(near) or False)
            ask(address, *CODE, {"X-Forwarded-For": named, "X-Forwarded-Proto": "https"})
        assert asked
        assert asked[0] != ours.getsockname()
        assert asked[0][1] != 0


@pytest.mark.parametrize("way", ["%2e%2e/etc", "..%2f..%2fetc", "%2E./x", "%252e%252e/x", "a%00"])
def test_a_target_does_not_leave_its_folder_by_escapes(way):
    """Storage decodes what is in a URI."""
    with pytest.raises(ForbiddenTargetError):
        TargetPolicy(trusted=False, root="file:///savepoints").check(f"file:///savepoints/{way}")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_elsewhere_runs_no_code_by_an_image_or_a_link(client, site):
    """Browsers name no origin with a plain GET, but planning a program runs it."""
    plan = ("GET", f"/jars/{'0' * 32}_job.py/plan")
    found = client.request(*plan, headers={"Sec-Fetch-Site": site})
    assert (found.status_code, found.json()["code"]) == (403, "LESTO-4306")
    found = client.request(*plan, headers={"Origin": "http://evil.example"})
    assert found.json()["code"] == "LESTO-4306"
    for own in ("same-origin", "none"):
        found = client.request(*plan, headers={"Sec-Fetch-Site": own})
        assert found.json()["code"] != "LESTO-4306"
    assert client.request("GET", "/jobs", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_code_needs_the_token_where_the_user_is_not_known(server, jobmanager, monkeypatch):
    monkeypatch.setattr(server, "_guard", Guard(token="secret"))
    monkeypatch.setattr(peer.Path, "open", lambda *_args, **_more: (_ for _ in ()).throw(OSError))
    address = server.start(jobmanager)
    assert ask(address, *CODE)[0] == 401
    assert ask(address, *CODE, {"Authorization": "Bearer wrong"})[0] == 401
    assert ask(address, *CODE, {"Authorization": "Bearer secret"})[0] != 401
    assert ask(address, "GET", "/jobs")[0] == 200


def test_programs_can_be_switched_off(server, jobmanager, monkeypatch):
    monkeypatch.setattr(server, "_guard", Guard(token="secret", runs_code=False))
    address = server.start(jobmanager)
    status, problem = ask(address, *CODE, {"Authorization": "Bearer secret"})
    assert (status, problem["code"]) == (403, "LESTO-4313")


def test_who_shows_no_token_hears_how(server, jobmanager, monkeypatch):
    monkeypatch.setattr(server, "_guard", Guard(token="secret", loopback=False))
    monkeypatch.setattr(server, "_targets", TargetPolicy(trusted=True, root=None))
    connection = http.client.HTTPConnection(server.start(jobmanager), timeout=10)
    connection.request("GET", "/jobs")
    answer = connection.getresponse()
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="lesto"'
    connection.close()


def test_an_insecure_server_still_hears_no_other_sites(server, jobmanager, monkeypatch):
    open_to_all = Guard(token=None, loopback=False, insecure=True)
    monkeypatch.setattr(server, "_guard", open_to_all)
    address = server.start(jobmanager)
    assert ask(address, "PATCH", f"/jobs/{JOB}", {"Origin": "http://evil.example"})[0] == 403
    assert ask(address, "PATCH", f"/jobs/{JOB}", {"Origin": "null"})[0] == 403
    assert ask(address, "PATCH", f"/jobs/{JOB}")[0] == 202


def ask(address, method, path, headers=None):
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path, headers={"Accept": "*/*", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


# --------------------------------------------------------------------------------------------- TLS


def signed(name, issuer=None, issuer_key=None):
    """A certificate and its key; without an issuer, an authority's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(issuer_key or key, hashes.SHA256()), key


def pem(path, certificate, key, password=None):
    path.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    sealed = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority, key = signed("authority")
    pem(folder / "ca", authority, key)
    for name in ("server", "caller"):
        pem(folder / name, *signed(name, authority, key))
    pem(folder / "stranger", *signed("stranger"))
    pem(folder / "sealed", *signed("sealed", authority, key), password=b"x")
    return folder


def tls_options(files, **more):
    return {
        "rest.port": 0,
        "security.ssl.rest.enabled": True,
        "security.ssl.rest.cert-chain": str(files / "server.crt"),
        "security.ssl.rest.key": str(files / "server.key"),
        **more,
    }


@pytest.fixture
def serve(request):
    def start(values):
        made = RestServer(Configuration.from_dict(values), MetricRegistry())
        request.addfinalizer(made.stop)
        return made.start(FakeJobManager())

    return start


def ask_tls(address, files, caller=None):
    context = ssl.create_default_context(cafile=files / "ca.crt")
    context.check_hostname = False
    if caller:
        context.load_cert_chain(files / f"{caller}.crt", files / f"{caller}.key")
    connection = http.client.HTTPSConnection(address, timeout=10, context=context)
    try:
        connection.request("GET", "/jobs", headers={"Host": "localhost"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_rest_over_tls(serve, files):
    address = serve(tls_options(files))
    assert ask_tls(address, files) == 200
    with socket.create_connection(address.split(":")) as plain:
        plain.sendall(b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
        plain.settimeout(10)
        assert b"200" not in plain.recv(1000)
    assert ask_tls(address, files) == 200


def test_callers_show_certificates(serve, files):
    values = {
        "security.ssl.rest.authentication-enabled": True,
        "security.ssl.rest.ca": str(files / "ca.crt"),
        "security.token": "secret",
    }
    address = serve(tls_options(files, **values))
    assert ask_tls(address, files, "caller") == 200
    for wrong in (None, "stranger"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask_tls(address, files, wrong)
    assert ask_tls(address, files, "caller") == 200


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"security.ssl.rest.cert-chain": None}, "security.ssl.rest.cert-chain"),
        ({"security.ssl.rest.key": None}, "security.ssl.rest.key"),
        ({"security.ssl.rest.key": "/nowhere"}, "No such file"),
        ({"security.ssl.rest.key": "caller.key"}, "(?i)key.values.mismatch"),
        ({"security.ssl.rest.key": "server.crt"}, "security.ssl.rest.key"),
        (
            {
                "security.ssl.rest.cert-chain": "sealed.crt",
                "security.ssl.rest.key": "sealed.key",
            },
            "encrypted",
        ),
        ({"security.ssl.rest.authentication-enabled": True}, "security.ssl.rest.ca"),
        (
            {
                "security.ssl.rest.authentication-enabled": True,
                "security.ssl.rest.ca": "server.key",
            },
            "security.ssl.rest.ca",
        ),
    ],
)
def test_files_that_do_not_fit_are_named(files, values, named):
    found = {
        key: str(files / value) if isinstance(value, str) else value
        for key, value in values.items()
        if value is not None
    }
    given = {**tls_options(files), **found}
    for key, value in values.items():
        if value is None:
            del given[key]
    with pytest.raises(CertificateFileError, match=named):
        RestServer(Configuration.from_dict(given))


def test_certificates_without_tls_are_a_mistake():
    with pytest.raises(CertificateFileError, match="enabled"):
        RestServer(Configuration.from_dict({"security.ssl.rest.authentication-enabled": True}))


def test_beyond_loopback_tls_alone_lets_nobody_in_and_does_not_start(files):
    wide = {"rest.bind-address": "0.0.0.0"}
    with pytest.raises(InsecureRestError, match="certificates"):
        RestServer(Configuration.from_dict(tls_options(files, **wide)))
    mutual = {
        "security.ssl.rest.authentication-enabled": True,
        "security.ssl.rest.ca": str(files / "ca.crt"),
    }
    RestServer(Configuration.from_dict(tls_options(files, **wide, **mutual)))
