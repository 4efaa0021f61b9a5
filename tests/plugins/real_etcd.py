"""A real etcd of one member for tests, from Debian's package ``etcd-server``."""

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

MISSING = "etcd is not installed: apt-get install -y etcd-server"
START_SECONDS_MAX = 30


def is_missing():
    """Why tests with etcd are skipped; empty: they are not."""
    return "" if shutil.which("etcd") else MISSING


def _ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def real_etcd(folder):
    """Its client URL."""
    client, peer = (f"http://127.0.0.1:{port}" for port in _ports(2))
    command = [
        "etcd", "--name", "one", "--data-dir", str(folder / "etcd"),
        "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"one={peer}", "--unsafe-no-fsync",
    ]  # fmt: skip
    with (folder / "etcd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(f"{client}/health", timeout=1) as answer,
            ):
                if b'"true"' in answer.read():
                    break
            assert process.poll() is None, (folder / "etcd.log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "etcd.log").read_text()[-2000:]
            time.sleep(0.05)
        yield client
    finally:
        process.terminate()
        process.wait(10)
