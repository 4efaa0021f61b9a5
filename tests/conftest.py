"""Settings for the whole suite: the leak check, and guards on what may be imported and how."""

import io
import subprocess
import sys

import hypothesis
import pyarrow.csv
import pytest
from hypothesis_profiles import PROFILE
from rooms import ROOMS

pytest_plugins = ["leaks"]
hypothesis.settings.load_profile(PROFILE)

# Arrow opens a pipe for Ctrl-C at its first cancellable read and keeps it; it is not a test's leak.
pyarrow.csv.read_csv(io.BytesIO(b"a\n1\n"))


def pytest_collection_finish(session):
    """Fill the disk cache of compiled kernels, outside any test's time limit.

    In a process of its own, so that tests still see kernels load lazily in this one; processes
    that tests start read the same cache.
    """
    if session.items and not session.config.option.collectonly:
        code = "from lesto.kernels import warm; warm()"
        subprocess.run([sys.executable, "-P", "-c", code], check=True)


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
