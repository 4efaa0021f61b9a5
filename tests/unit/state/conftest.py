"""Backends and a store of snapshots in the test's own folder."""

import pytest

from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore


@pytest.fixture
def make(tmp_path):
    """Makes backends, and closes them."""
    made = []

    def create(kind, start=0, end=127, **kwargs):
        backend = create_backend(
            kind,
            key_group_start=start,
            key_group_end=end,
            max_parallelism=128,
            local_dir=tmp_path / "local",
            **kwargs,
        )
        made.append(backend)
        return backend

    yield create
    for backend in made:
        backend.close()
    assert not list((tmp_path / "local").glob("*"))


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(str(tmp_path / "ck"), epoch=1, attempt="1-0")
