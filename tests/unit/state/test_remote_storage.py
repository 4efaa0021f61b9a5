"""S3 and its faults: what is retried, what is recognised, what gets through to the caller."""

import subprocess
import sys

import pytest
from faulty_objects import Faults, FaultyObjects, MemoryObjects
from s3_server import S3Server

from lesto.common.config import Configuration
from lesto.state import storage_settings
from lesto.state.errors import (
    CheckpointExistsError,
    CorruptFileError,
    MissingFileError,
    StorageError,
)
from lesto.state.files import Files
from lesto.state.objects import TransientError
from lesto.state.retrying import RetryingObjects
from lesto.state.storage import SnapshotStore
from lesto.state.storage_settings import RetryPolicy


def retrying(faults, *, seed=0, attempts=6, pauses=None):
    faulty = FaultyObjects(MemoryObjects(), faults, seed)
    sleep = (pauses if pauses is not None else []).append
    policy = RetryPolicy(attempts, initial_backoff_ms=100, max_backoff_ms=300)
    return faulty, RetryingObjects(faulty, policy, sleep=sleep, draw=lambda: 1.0)


# ------------------------------------------------------------------------------ retries, by hand


def test_pauses_double_up_to_the_longest_and_tries_are_bounded():
    pauses = []
    faulty, objects = retrying(Faults(refused=1.0), pauses=pauses)
    with pytest.raises(TransientError, match="after 6 tries"):
        objects.exists("x")
    assert pauses == [0.1, 0.2, 0.3, 0.3, 0.3]
    assert faulty.injected["refused"] == 6


def test_pauses_differ_so_that_those_refused_together_do_not_come_back_together():
    pauses = []
    faulty = FaultyObjects(MemoryObjects(), Faults(refused=1.0))
    draws = iter([0.0, 0.5, 1.0])
    objects = RetryingObjects(
        faulty, RetryPolicy(4, 100, 100), sleep=pauses.append, draw=lambda: next(draws)
    )
    with pytest.raises(TransientError):
        objects.exists("x")
    assert pauses == [0.05, 0.075, 0.1]


def test_what_will_not_change_is_not_tried_again():
    pauses = []
    _, objects = retrying(Faults(), pauses=pauses)
    with pytest.raises(FileNotFoundError):
        objects.size("x")
    objects.create("x", b"1")
    with pytest.raises(FileExistsError):
        objects.create("x", b"1")
    assert pauses == []


def test_a_create_whose_answer_was_lost_is_recognised_as_ours():
    faulty, objects = retrying(Faults(lost=1.0))

    def heal(_seconds):
        faulty.faults = Faults()

    objects._sleep = heal
    objects.create("x", b"ours")
    assert faulty.injected["lost"] == 1
    assert faulty.objects.content == {"x": b"ours"}


def test_a_create_that_another_writer_won_meanwhile_is_not_ours():
    faulty, objects = retrying(Faults(refused=1.0))

    def another_wins(_seconds):
        faulty.faults = Faults()
        faulty.objects.content["x"] = b"theirs"

    objects._sleep = another_wins
    with pytest.raises(FileExistsError):
        objects.create("x", b"ours")


@pytest.mark.parametrize("seed", range(20))
def test_everything_gets_through_a_store_that_fails_half_the_time(seed):
    faults = Faults(refused=0.25, lost=0.25, slow=0.1)
    faulty, objects = retrying(faults, seed=seed, attempts=60)
    store = SnapshotStore("/root")
    store._files = Files("/root", objects)
    handles = [store.write_exclusive(1, bytes([n]) * 1_000) for n in range(20)]
    assert [store.read(handle) for handle in handles] == [bytes([n]) * 1_000 for n in range(20)]
    files = Files("/root", objects)
    files.create("epoch-1", b"me")
    with pytest.raises(CheckpointExistsError):
        files.create("epoch-1", b"another")
    assert len(files.list("", recursive=True)) == 21
    files.delete_directory("chk-1")
    assert files.list("", recursive=True) == ["epoch-1"]
    assert all(faulty.injected[kind] for kind in ("refused", "lost"))


def test_a_store_that_stays_away_is_a_named_error():
    _, objects = retrying(Faults(refused=1.0))
    with pytest.raises(StorageError, match=r"refused to write /root/x: 503 .*after 6 tries"):
        Files("/root", objects).write("x", lambda: iter([b"1"]))


# ------------------------------------------------------------------------------------ real S3

uses_s3 = pytest.mark.leaks_ok(
    "the client's runtime is one a process, and moto keeps objects in open temporary files",
    only=("fds",),
)


@pytest.fixture(scope="module")
def server():
    server = S3Server(seed=4)
    yield server
    server.close()


@pytest.fixture
def s3(server):
    before = storage_settings.current()
    storage_settings.configure(Configuration.from_dict(server.options()))
    server.refused = server.lost = server.slow = 0.0
    yield server
    server.refused = server.lost = server.slow = 0.0
    storage_settings.use(before)


@uses_s3
def test_files_on_s3_behave_as_on_a_disk(s3, tmp_path):
    root = f"s3://{s3.bucket}/plain/job"
    store = SnapshotStore(root, epoch=1)
    big = tmp_path / "big.sst"
    big.write_bytes(bytes(range(256)) * (9 << 12))  # 9 MiB: two parts
    handles = [store.write_shared(big, checkpoint_id=1), store.write_exclusive(1, b"")]
    assert store.read(handles[0]) == big.read_bytes()
    assert store.read(handles[1]) == b""
    store.download(handles[0], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == big.read_bytes()
    files = Files(root)
    assert files.list("") == ["chk-1/", "shared/"]
    assert len(files.list("", recursive=True)) == 2
    assert files.exists("chk-1")
    assert not files.exists("chk-2")
    files.delete_directory("chk-1")
    assert files.list("") == ["shared/"]
    with pytest.raises(MissingFileError):
        store.read(handles[1])
    wrong = type(handles[0])(path=handles[0].path, length_bytes=3, checksum=1)
    with pytest.raises(CorruptFileError):
        store.read(wrong)


@uses_s3
def test_one_of_many_creates_wins_on_s3(s3):
    files = Files(f"s3://{s3.bucket}/create")
    files.create("a", b"first")
    with pytest.raises(CheckpointExistsError):
        files.create("a", b"second")
    assert files.open_input("a").read() == b"first"


@uses_s3
def test_s3_that_is_slow_and_throttles_and_loses_answers_is_borne(s3):
    s3.refused, s3.lost = 0.15, 0.15
    before = dict(s3.injected)
    given = {**s3.options(), "state.storage.retry.max-attempts": "30"}
    storage_settings.configure(Configuration.from_dict(given))
    files = Files(f"s3://{s3.bucket}/faulty")
    big = b"x" * (9 << 20)
    for number in range(3):  # in parts, each of which may fail
        files.write(f"big/{number}", lambda: iter([big, b"end"]))
        assert files.open_input(f"big/{number}").read() == big + b"end"
    for number in range(30):
        files.create(f"log/{number}", b"%d" % number)
    assert [files.open_input(f"log/{n}").read() for n in range(30)] == [
        b"%d" % n for n in range(30)
    ]
    assert all(s3.injected[kind] > before[kind] for kind in ("refused", "lost"))


@uses_s3
def test_a_try_has_a_time_limit(s3):
    given = {
        **s3.options(),
        "state.storage.operation-timeout": "200 ms",
        "state.storage.retry.max-attempts": "2",
    }
    storage_settings.configure(Configuration.from_dict(given))
    s3.slow, s3.slow_seconds = 1.0, 0.6
    with pytest.raises(StorageError, match="after 2 tries"):
        Files(f"s3://{s3.bucket}/slow").create("a", b"1")


@uses_s3
def test_a_key_that_is_refused_or_a_bucket_that_is_not_there_is_named_at_once(s3):
    count = len(s3.requests)
    with pytest.raises(StorageError, match="nobucket"):
        Files("s3://nobucket/x").create("a", b"1")
    assert len(s3.requests) == count + 1


def test_without_the_library_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from lesto.state.files import Files\n"
        "from lesto.state.errors import StorageError\n"
        "try:\n    Files('s3://b/x')\n"
        "except StorageError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'lesto[s3]'" in run.stdout
