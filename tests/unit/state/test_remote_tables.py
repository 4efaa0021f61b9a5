"""State as tables on S3: read, made, changed, by program and command line; a store with faults."""

import json

import pyarrow as pa
import pytest
from s3_server import S3Server

from lesto.client.cli.main import main
from lesto.common import Configuration
from lesto.state import storage_settings
from lesto.state.errors import MissingFileError, SavepointWriteError
from lesto.state.files import Files
from lesto.state.reader import SavepointReader
from lesto.state.writer import OperatorBootstrap, SavepointWriter

pytestmark = pytest.mark.leaks_ok(
    "the client's runtime is one a process, and moto keeps objects in open temporary files",
    only=("fds",),
)
DATA = pa.table({"key": [f"k{i}" for i in range(2_000)], "value": range(2_000)})


@pytest.fixture(scope="module")
def server():
    server = S3Server(seed=9)
    yield server
    server.close()


@pytest.fixture
def s3(server):
    before = storage_settings.current()
    storage_settings.configure(Configuration.from_dict(server.options()))
    yield server
    server.refused = server.lost = 0.0
    storage_settings.use(before)


def test_savepoints_on_s3_are_made_read_and_changed(s3, capfdbinary):
    root = f"s3://{s3.bucket}/tables/savepoint-a"
    s3.refused = s3.lost = 0.04
    counter = OperatorBootstrap("Counter").value_state("count", DATA)
    SavepointWriter.new_savepoint().with_operator("uid", counter).write(root)
    assert SavepointReader.read(root).read_state("uid").read_all().num_rows == 2_000
    less = DATA.slice(0, 10)
    changed = OperatorBootstrap().value_state("count", less)
    other = f"s3://{s3.bucket}/tables/other"
    SavepointWriter.from_existing_savepoint(root).change_operator("uid", changed).write(other)
    assert SavepointReader.read(other).read_state("uid").read_all().num_rows == 10
    s3.refused = s3.lost = 0.0
    flags = [word for key, value in s3.options().items() for word in ("-D", f"{key}={value}")]
    storage_settings.use(storage_settings.StorageSettings())
    assert main(["state", "read", other, "-o", "json", *flags]) == 0
    assert len(json.loads(capfdbinary.readouterr().out)) == 10


def test_what_fails_leaves_nothing_on_s3(s3):
    root = f"s3://{s3.bucket}/failing"
    twice = pa.concat_tables([DATA, DATA])
    good = OperatorBootstrap().value_state("count", DATA)
    bad = OperatorBootstrap().value_state("count", twice)
    with pytest.raises(SavepointWriteError, match="more than once"):
        SavepointWriter.new_savepoint().with_operator("a", good).with_operator("b", bad).write(
            f"{root}/sp"
        )
    assert Files(root).list("", recursive=True) == []
    path = SavepointWriter.new_savepoint().with_operator("a", good).write(f"{root}/sp2")
    for name in Files(path).list("files", recursive=True):
        Files(path).delete(name)
    with pytest.raises(MissingFileError):
        SavepointReader.read(path).read_state("a").read_all()
