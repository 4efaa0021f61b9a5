"""Settings for the whole suite: the leak check, and guards on what may be imported and how."""

import sys

import pytest

pytest_plugins = ["leaks"]

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
