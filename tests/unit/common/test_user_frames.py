"""Whose frames a traceback shows."""

import json
import types

import pytest

from lesto.common.user_frames import user_frames


def caught(call):
    with pytest.raises(Exception) as info:  # noqa: PT011 - any will do
        call()
    return info.value.__traceback__


def module(name, source):
    made = types.ModuleType(name)
    exec(compile(source, f"/{name}.py", "exec"), made.__dict__)
    return made


JOB = module("job", "import json\ndef parse(text):\n    return json.loads(text)\n")
ENGINE = module("lesto.engine", "def call(f, *args):\n    return f(*args)\n")


def test_libraries_called_by_the_user_stay_and_the_users_line_is_named():
    frames, location = user_frames(caught(lambda: ENGINE.call(JOB.parse, "{")).tb_next.tb_next)
    assert [frame.name for frame in frames][:2] == ["parse", "loads"]
    assert location == "/job.py:3"


def test_without_the_user_nothing_is_shown():
    trace = caught(lambda: ENGINE.call(json.loads, "{")).tb_next.tb_next
    assert user_frames(trace) == ([], "")


def test_frames_of_the_engine_between_the_users_are_left_out():
    outer = module("job", "def run(call, f):\n    call(f, '{')\n")
    trace = caught(lambda: ENGINE.call(outer.run, ENGINE.call, JOB.parse)).tb_next.tb_next
    frames, location = user_frames(trace)
    assert [frame.name for frame in frames][:2] == ["run", "parse"]
    assert location == "/job.py:3"
