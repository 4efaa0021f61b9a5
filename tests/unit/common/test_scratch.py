"""A scratch directory goes with its owner, or with the next one that is made."""

import fcntl
import os
import subprocess
import sys

import pytest

from lesto.common import scratch

OWNER = """
import sys
from lesto.common.scratch import ScratchDirectory
directory = ScratchDirectory("x", sys.argv[1])
(directory.path / "state").write_text("x")
print(directory.path, flush=True)
sys.stdin.read()
"""


def test_a_scratch_directory_goes_with_close(tmp_path):
    made = scratch.ScratchDirectory("x", str(tmp_path))
    assert made.path.name.startswith(f"{scratch.PREFIX}x-")
    (made.path / "deep").mkdir()
    (made.path / "deep" / "file").write_text("1")
    made.close()
    made.close()
    assert list(tmp_path.iterdir()) == []


def test_a_living_owner_keeps_it_and_a_dead_one_loses_it(tmp_path):
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        path = owner.stdout.readline().strip()
        assert scratch.remove_orphans(tmp_path) == []
        assert sorted(os.listdir(path)) == [scratch.LOCK_NAME, "state"]
        owner.kill()
    mine = scratch.ScratchDirectory("x", str(tmp_path))
    assert os.listdir(tmp_path) == [mine.path.name]
    mine.close()


def test_what_is_being_made_or_foreign_is_left_alone(tmp_path):
    for name in (".lesto-x-unlocked-yet", "lesto-without-a-lock", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / ".lesto-x-unlocked-yet" / scratch.LOCK_NAME).touch()
    (tmp_path / "other" / scratch.LOCK_NAME).touch()
    assert scratch.remove_orphans(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 3


def test_the_owner_holds_the_lock(tmp_path):
    made = scratch.ScratchDirectory("x", str(tmp_path))
    with (made.path / scratch.LOCK_NAME).open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    made.close()
