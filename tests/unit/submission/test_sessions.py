"""A SQL session whose process is stuck is closed all the same."""

import threading
import time

import pytest

from lesto.jobmanager.server.submission import sessions
from lesto.jobmanager.server.submission.errors import SqlSessionLostError

#: Says that it is ready, and reads no request.
_STUCK = """
import json, os, struct, sys, time
answers = os.fdopen(json.loads(sys.stdin.read())["to"], "wb")
ready = json.dumps({"ready": True}).encode()
answers.write(struct.pack("!II", len(ready), 0) + ready)
answers.flush()
time.sleep(60)
"""


@pytest.fixture
def session(tmp_path, monkeypatch):
    (tmp_path / "stuck_session.py").write_text(_STUCK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sessions, "MODULE", "stuck_session")
    monkeypatch.setattr(sessions, "CLOSE_SECONDS", 0.5)
    made = sessions.SqlSession(tmp_path / "session", {}, lambda _job_id: None)
    made.wait_ready()
    yield made
    made.close(orderly=False)


def test_one_that_reads_no_requests_is_closed_and_who_waits_hears(session):
    heard = []

    def ask():
        try:
            session.call("execute", statement="x" * 200_000)  # more than the pipe takes
        except SqlSessionLostError as error:
            heard.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    time.sleep(0.2)
    closing = threading.Thread(target=session.close, daemon=True)
    closing.start()
    closing.join(10)
    asking.join(10)
    assert not closing.is_alive()
    assert heard
