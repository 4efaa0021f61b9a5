"""A TaskManager's working directory goes with it, or with the next one."""

import os
import subprocess
import sys

from lesto.taskmanager.runtime.working_dir import PREFIX, WorkingDirectory, remove_orphans

OWNER = """
import os, sys
from lesto.taskmanager.runtime.working_dir import WorkingDirectory
directory = WorkingDirectory(sys.argv[1])
(directory.path / "state").write_text("x")
print(directory.path, flush=True)
sys.stdin.read()
"""


def test_a_living_owner_keeps_it_and_a_dead_one_loses_it(tmp_path):
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        path = owner.stdout.readline().strip()
        assert remove_orphans(tmp_path) == []
        assert os.listdir(path)
        owner.kill()
    mine = WorkingDirectory(str(tmp_path))
    assert os.listdir(tmp_path) == [mine.path.name]
    assert mine.path.name.startswith(PREFIX)
    mine.close()
    mine.close()
    assert os.listdir(tmp_path) == []
