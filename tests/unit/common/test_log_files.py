"""Log files: bounded, and read by names that never are paths."""

from __future__ import annotations

import io
import logging
import os
import time

import pytest

from lesto.common import log_files
from lesto.common.inspection import InspectionError
from lesto.common.log_files import LogFolder, OutputCopy, rotating_handler


def test_a_folder_lists_and_reads_its_files(tmp_path) -> None:
    folder = LogFolder("tm-1", str(tmp_path))
    folder.file("taskmanager.log").write_bytes(b"0123456789")
    (file,) = folder.list()
    assert (file.name, file.size_bytes) == ("taskmanager.log", 10)
    assert abs(file.modified_ms - time.time() * 1000) < 60_000
    piece = folder.read("taskmanager.log", 2, 3)
    assert (piece.content, piece.offset, piece.size_bytes) == (b"234", 2, 10)
    assert folder.read("taskmanager.log", -4, 0).content == b"6789"
    assert folder.read("taskmanager.log", -400, 2).content == b"01"
    assert folder.read("taskmanager.log", 400, 2).content == b""


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../secret", "/etc/passwd", "a/b", "x\0", ".lesto-logs", "link/../secret"],
)
def test_a_name_is_no_path(tmp_path, name) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = LogFolder("tm-1", str(tmp_path))
    with pytest.raises(InspectionError, match="no log file of that name"):
        folder.read(name, 0, 10)


def test_a_link_is_no_log_file(tmp_path) -> None:
    """User code may write there; what a link leads to may be what only the process can read."""
    (tmp_path / "secret").write_text("secret")
    folder = LogFolder("tm-1", str(tmp_path / "logs"))
    (folder.path / "slot-9.log").symlink_to(tmp_path / "secret")
    assert folder.list() == []
    with pytest.raises(InspectionError, match="no log file of that name"):
        folder.read("slot-9.log", 0, 10)


def test_pieces_are_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(log_files, "LOG_PIECE_BYTES_MAX", 4)
    folder = LogFolder("tm-1", str(tmp_path))
    folder.file("a.log").write_bytes(b"0123456789")
    assert folder.read("a.log", 0, 1 << 40).content == b"0123"


def test_a_temporary_folder_goes_and_a_lasting_one_stays(tmp_path) -> None:
    passing = LogFolder("tm-1", None, str(tmp_path))
    passing.file("a.log").write_text("a")
    passing.close()
    passing.close()
    assert not passing.path.exists()
    lasting = LogFolder("tm-1", str(tmp_path))
    lasting.close()
    assert lasting.path.is_dir()


def test_old_folders_go_beyond_what_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(log_files, "FOLDERS_KEPT", 2)
    old = time.time() - 30 * 24 * 3600
    for number in range(5):
        folder = LogFolder(f"tm-{number}", str(tmp_path))
        if number < 4:
            for path in folder.path.iterdir():
                os.utime(path, (old + number, old + number))
    (tmp_path / "mine").mkdir()  # not a folder of ours
    LogFolder("tm-5", str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "tm-4", "tm-5"]


def test_a_full_log_is_set_aside(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(log_files, "FILE_BYTES_MAX", 100)
    handler = rotating_handler(tmp_path / "a.log")
    for _ in range(40):
        handler.emit(logging.makeLogRecord({"msg": "x" * 50}))
    handler.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["a.log", *(f"a.log.{n}" for n in range(1, log_files.FILES_KEPT + 1))]


def test_output_goes_to_the_stream_and_to_a_bounded_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(log_files, "FILE_BYTES_MAX", 50)
    stream = io.StringIO()
    copy = OutputCopy(stream, tmp_path / "slot-0.out")
    for number in range(20):
        print("line", number, file=copy)
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(20)]
    kept = [(tmp_path / name).read_text() for name in ("slot-0.out.1", "slot-0.out")]
    assert all(len(text) < 100 for text in kept)
    assert stream.getvalue().endswith("".join(kept))
    copy.close()
    assert not stream.closed


def test_a_full_disk_does_not_fail_what_prints(tmp_path, capsys) -> None:
    stream = io.StringIO()
    copy = OutputCopy(stream, tmp_path / "a.out")

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    copy._file.close()
    copy._file = Full()
    print("one", file=copy)
    print("two", file=copy)
    assert stream.getvalue().splitlines() == ["one", "two"]
    assert capsys.readouterr().err.count("no longer written") == 1
