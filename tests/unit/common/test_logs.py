"""Logs: shape, bound ids, secrets."""

import io
import json
import logging

import pytest

from lesto.common import logs
from lesto.common.logs import bound_ids, configure_logging, get_logger


@pytest.fixture
def stream(monkeypatch):
    monkeypatch.setattr(logs._state, "chain", None)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    monkeypatch.undo()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_event_ids_and_process(stream):
    configure_logging("slot", "INFO", json=True, stream=stream)
    with bound_ids(job="j1", subtask=3, attempt=2):
        get_logger("lesto.test", operator="map").info("checkpoint.completed", checkpoint_id=7)
    get_logger("lesto.test").info("after")
    first, second = lines(stream)
    assert first["event"] == "checkpoint.completed"
    assert (first["job"], first["subtask"], first["attempt"]) == ("j1", 3, 2)
    assert (first["operator"], first["checkpoint_id"], first["role"]) == ("map", 7, "slot")
    assert (first["level"], first["logger"]) == ("info", "lesto.test")
    assert first["timestamp"].endswith("Z")
    assert "job" not in second


def test_plain_loggers_and_tracebacks_go_the_same_way(stream):
    configure_logging("client", json=True, stream=stream)
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("some.library").exception("failed %s", "here")
    (line,) = lines(stream)
    assert line["event"] == "failed here"
    assert "ValueError: boom" in line["exception"]


def test_levels_filter(stream):
    configure_logging("client", "WARNING", json=True, stream=stream)
    get_logger("lesto.test").info("quiet")
    get_logger("lesto.test").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_configuring_twice_does_not_double_lines(stream):
    configure_logging("client", json=True, stream=stream)
    configure_logging("client", json=True, stream=stream)
    get_logger("lesto.test").info("once")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "hunter2"},
        {"db_password": "hunter2"},
        {"headers": {"Authorization": "Bearer hunter2"}},
        {"uri": "postgresql://me:hunter2@db/x"},
        {"message": "calling with Authorization: Bearer hunter2 now"},
        {"options": ["security.token=hunter2"]},
        {"nested": {"config": {"api_key": "hunter2"}}},
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_never_reach_the_stream(stream, fields, as_json):
    configure_logging("client", json=as_json, stream=stream)
    get_logger("lesto.test").info("client.connected", **fields)
    assert stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert "******" in stream.getvalue()


def test_a_secret_in_a_traceback_is_filtered(stream):
    configure_logging("client", json=True, stream=stream)
    try:
        raise ValueError("cannot reach s3://me:hunter2@host/bucket")
    except ValueError:
        get_logger("lesto.test").exception("upload.failed")
    assert "hunter2" not in stream.getvalue()


def test_no_colour_when_it_is_no_terminal(stream):
    configure_logging("client", json=False, stream=stream)
    get_logger("lesto.test").info("plain")
    assert "\x1b" not in stream.getvalue()


def test_without_our_configuration_lines_are_plain_text(stream, caplog):
    with bound_ids(job="j1"):
        get_logger("lesto.test").warning("slot.lost", pid=7, token="hunter2")
    get_logger("lesto.test").info("quiet by default")
    assert caplog.messages == ["slot.lost pid=7 token=****** job=j1"]
    try:
        raise ValueError("boom")
    except ValueError:
        get_logger("lesto.test").exception("task.failed")
    assert "ValueError: boom" in caplog.text


def test_the_users_structlog_is_left_alone(stream):
    import structlog

    before = structlog.get_config()
    configure_logging("client", json=True, stream=stream)
    assert structlog.get_config() == before
