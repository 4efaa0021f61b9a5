"""The store of uploaded files: complete or absent, bounded, equal content once."""

import errno
import io
import os
import threading
import time
import zipfile

import pytest

from lesto.jobmanager.server.submission.errors import (
    DamagedArtifactError,
    InvalidUploadError,
    StorageError,
    StoreFullError,
    UnknownArtifactError,
    UploadTooLargeError,
)
from lesto.jobmanager.server.submission.multipart import store_upload
from lesto.jobmanager.server.submission.store import ArtifactStore, StoreLimits

MIB = 1 << 20


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "store", StoreLimits(2 * MIB, 3, 5 * MIB + MIB // 2))


def put(store, content, name="job.py"):
    with store.receive() as incoming:
        incoming.write(content)
        return incoming.finish(name)


def test_equal_content_is_kept_once_and_found_after_a_restart(store, tmp_path):
    first, second = put(store, b"print(1)"), put(store, b"print(1)")
    assert first.id == second.id
    assert [a.id for a in ArtifactStore(tmp_path / "store").list()] == [first.id]
    assert put(store, b"print(1)", "other.py").id != first.id


def test_concurrent_uploads_of_equal_content(store):
    found, barrier = [], threading.Barrier(8)

    def upload():
        with store.receive() as incoming:
            for _ in range(64):
                incoming.write(b"#" * 1024)
            barrier.wait()
            found.append(incoming.finish("job.py").id)

    store.limits = StoreLimits(2 * MIB, 3, 16 * MIB)
    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert {a.id for a in store.list()} == set(found)


def test_what_is_not_finished_leaves_nothing(store, tmp_path):
    with store.receive() as incoming:
        incoming.write(b"half")
    assert list((tmp_path / "store").iterdir()) == []
    put(store, b"x" * 2 * MIB)
    put(store, b"y" * 2 * MIB)  # what was reserved for the half is free again


def test_limits(store, tmp_path):
    with pytest.raises(UploadTooLargeError):
        put(store, b"x" * (2 * MIB + 1))
    put(store, b"x" * 2 * MIB)
    put(store, b"y" * 2 * MIB)
    with pytest.raises(StoreFullError, match="bytes together"):
        put(store, b"z" * 2 * MIB)
    put(store, b"1")
    with pytest.raises(StoreFullError, match="3 uploaded files"):
        put(store, b"2")
    put(store, b"1")  # it is there: nothing is added
    store.delete(store.list()[0].id)
    put(store, b"2")
    assert len(list((tmp_path / "store").iterdir())) == 3


def test_a_full_disk_has_a_name_and_leaves_nothing(store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        put(store, b"print(1)")
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        ArtifactStore(tmp_path / "file" / "store")


@pytest.mark.parametrize(("name", "content"), [("a.zip", b"no zip"), ("a.py", b""), ("a.sh", b"x")])
def test_what_is_no_program_is_refused(store, name, content):
    with pytest.raises(InvalidUploadError):
        put(store, content, name)


def test_an_archive_is_kept(store):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("__main__.py", "print(1)")
    assert put(store, made.getvalue(), "app.pyz").label == "app.pyz"


def test_ids_are_no_paths_and_links_are_not_followed(store, tmp_path):
    (tmp_path / "secret.py").write_text("token")
    linked = "0" * 32 + "_linked.py"
    (tmp_path / "store" / linked).symlink_to(tmp_path / "secret.py")
    for identifier in ("../secret.py", "/etc/passwd", linked, "0" * 32 + "_absent.py"):
        with pytest.raises(UnknownArtifactError):
            store.get(identifier)
        with pytest.raises(UnknownArtifactError):
            store.delete(identifier)
        with pytest.raises(UnknownArtifactError):
            store.copy(identifier, tmp_path)
    assert store.list() == []
    assert (tmp_path / "secret.py").exists()


def test_a_copy_outlives_its_original_and_damage_is_noticed(store, tmp_path):
    artifact = put(store, b"print(1)")
    (tmp_path / "run").mkdir()
    copied = store.copy(artifact.id, tmp_path / "run")
    copied.write_text("changed")  # by the program: the stored one stays as it was
    assert store.copy(artifact.id, tmp_path / "run").read_bytes() == b"print(1)"
    store.delete(artifact.id)
    assert copied.exists()
    artifact = put(store, b"print(2)")
    (tmp_path / "store" / artifact.id).write_bytes(b"print(3)")
    with pytest.raises(DamagedArtifactError):
        store.copy(artifact.id, tmp_path / "run")


def test_halves_of_a_killed_server_go_after_a_day(store, tmp_path):
    old, new = (tmp_path / "store" / f".incoming-{n}" for n in "ab")
    old.write_text("half")
    new.write_text("half")
    os.utime(old, (time.time() - 90_000,) * 2)
    ArtifactStore(tmp_path / "store")
    assert not old.exists()
    assert new.exists()


# ------------------------------------------------------------------------------------- multipart


def body(*parts, boundary="XX", end=True):
    made = b""
    for headers, content in parts:
        made += f"--{boundary}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n"
    return io.BytesIO(made + (f"--{boundary}--\r\n".encode() if end else b""))


FILE = 'Content-Disposition: form-data; name="jarfile"; filename="{}"\r\nContent-Type: a/b'
KIND = "multipart/form-data; boundary=XX"


def test_the_file_of_a_body_is_stored(store, tmp_path):
    parts = (
        ('Content-Disposition: form-data; name="other"', b"1"),
        (FILE.format("../j.py"), b"\r\nx=1"),
    )
    artifact = store_upload(body(*parts), KIND, store)
    assert artifact.label == "j.py"
    assert store.copy(artifact.id, tmp_path).read_bytes() == b"\r\nx=1"


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("application/json", body((FILE.format("j.py"), b"1"))),
        ("multipart/form-data", body((FILE.format("j.py"), b"1"))),
        (KIND, body((FILE.format("j.py"), b"1"), end=False)),
        (KIND, io.BytesIO(b"")),
        (KIND, io.BytesIO(b"--YY\r\n")),
        (KIND, body(('Content-Disposition: form-data; name="jarfile"', b"1"))),
        (KIND, body(('Content-Disposition: form-data; name="file"; filename="j.py"', b"1"))),
        (KIND, body((FILE.format("j.py"), b"1"), (FILE.format("k.py"), b"2"))),
        (KIND, body(*[(FILE.format("j.py"), b"")] * 20)),
        (KIND, body((FILE.format("j" * 9000 + ".py"), b"1"))),
        (KIND, body(("X: 1\r\n" * 50 + FILE.format("j.py"), b"1"))),
    ],
)
def test_other_bodies_are_refused_and_leave_nothing(store, tmp_path, kind, made):
    with pytest.raises(InvalidUploadError):
        store_upload(made, kind, store)
    assert list((tmp_path / "store").iterdir()) == []
