"""Whose line an error names."""

from pathlib import Path

from lesto.client.datastream.location import user_location

CALL = "found = user_location()\n"


def located(file, **more):
    scope = {"__name__": "__main__", "user_location": user_location, **more}
    exec(compile(CALL, file, "exec"), scope)
    return scope["found"]


def test_a_script_is_the_users():
    assert located("/home/ada/job.py") == "/home/ada/job.py:1"


def test_the_command_itself_is_not():
    """What called it is: here this file. In a shell nothing is."""
    assert Path(located("/venv/bin/lesto").partition(":")[0]).name == "test_user_location.py"
