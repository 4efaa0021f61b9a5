"""A PostgreSQL server of Debian's packages, on loopback, with room for prepared transactions."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.fault.cluster import free_port

PREPARED_MAX = 64
START_SECONDS_MAX = 60


def _program(name):
    """Debian keeps them out of PATH."""
    found = shutil.which(name)
    if found:
        return found
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(versions[-1]) if versions else None


def missing():
    """Why there is no server here, or an empty text."""
    if _program("initdb") is None:
        return "needs PostgreSQL (Debian: apt-get install postgresql)"
    if importlib.util.find_spec("psycopg") is None:
        return "needs psycopg (pip install 'lesto[dev]')"
    if os.geteuid() == 0 and not _user():
        return "needs the user 'postgres': the server refuses to run as root"
    return ""


def _user():
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


@contextlib.contextmanager
def server():
    """A server for the time being; its connection string."""
    import psycopg

    user = _user() if os.geteuid() == 0 else None
    # Another user must get there: a temporary directory of ours may be closed to all others.
    folder = Path(tempfile.mkdtemp(prefix="lesto-postgres-", dir="/tmp" if user else None))
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    process = None
    try:
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", "lesto", "-A", "trust", "--no-sync"],
            check=True, cwd=folder, stdout=subprocess.DEVNULL, **identity,
        )  # fmt: skip
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "",
            "max_prepared_transactions": PREPARED_MAX, "shared_buffers": "32MB",
        }  # fmt: skip
        given = [x for name, value in settings.items() for x in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [_program("postgres"), "-D", data, *given], cwd=folder, stdout=log, stderr=log,
                **identity,
            )  # fmt: skip
        dsn = f"host=127.0.0.1 port={port} user=lesto dbname=postgres connect_timeout=10"
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                with psycopg.connect(dsn, autocommit=True) as connection:
                    create_tables(connection)
                break
            except psycopg.OperationalError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((folder / "log").read_text()[-4000:]) from None
                time.sleep(0.05)
        yield dsn
    finally:
        if process is not None:
            process.send_signal(2)  # fast shutdown: connections are closed
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder)


def create_tables(connection):
    """What ``sink_job.py`` writes to."""
    connection.execute(
        "CREATE TABLE records (id bigint, key int, value int, number bigint, total bigint,"
        " subtask int, checkpoint_id bigint, part int, position bigint)"
    )
    connection.execute("CREATE TABLE commits (name text PRIMARY KEY, checkpoint_id bigint)")
