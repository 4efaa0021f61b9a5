"""Settings for the whole suite: the leak check, and guards on what may be imported and how."""

import io
import sys

import pyarrow.csv
import pytest

pytest_plugins = ["leaks"]

# Arrow opens a pipe for Ctrl-C at its first cancellable read and keeps it; it is not a test's leak.
pyarrow.csv.read_csv(io.BytesIO(b"a\n1\n"))

ROOMS = (
    "client",
    "common",
    "connectors",
    "jobmanager",
    "kernels",
    "proto",
    "state",
    "taskmanager",
)


@pytest.fixture(autouse=True, scope="session")
def _no_bare_room_is_imported():
    """Fail the session when a room was imported as itself: its classes would exist twice."""
    yield
    bare = sorted(
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in ROOMS and getattr(module, "__file__", None)
    )
    assert not bare, f"imported as top-level modules: {bare}; import lesto.<name> instead"
