"""The word about kernels that are compiled."""

import io
import os
import time

from lesto.client.table.waiting import NOTICE, CompileNotice


def said(folder, change=None, seconds=0.3):
    out = io.StringIO()
    with CompileNotice(out, str(folder), after=0.02) as notice:
        if change is not None:
            change()
        notice._thread.join(seconds)
    notice._thread.join(5)
    assert not notice._thread.is_alive()
    return out.getvalue()


def test_new_machine_code_is_told_once(tmp_path):
    assert said(tmp_path, (tmp_path / "a.nbc").touch, 5) == f"{NOTICE}\n"


def test_nothing_is_said_of_code_that_was_there(tmp_path):
    old = tmp_path / "a.nbc"
    old.touch()
    os.utime(old, (time.time() - 60,) * 2)
    assert said(tmp_path) == ""


def test_nothing_is_said_behind_the_end(tmp_path):
    out = io.StringIO()
    with CompileNotice(out, str(tmp_path), after=0.05) as notice:
        pass
    (tmp_path / "a.nbc").touch()
    notice._thread.join(5)
    assert out.getvalue() == ""
