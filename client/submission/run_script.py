"""Runs an uploaded file for the JobManager: ``python -P -m lesto.client.submission.run_script``.

What to run comes as JSON on standard input, the cluster's token in it. Jobs are submitted detached;
what the script raises is written to a file, with its own traceback.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Mapping
from typing import Any

from lesto.client.cli.failures import format_user_traceback
from lesto.client.run_options import RunOptions
from lesto.client.submission.program import find_program
from lesto.common.errors import LestoError


def main() -> int:
    """Run the file; return the exit code."""
    given = json.loads(sys.stdin.read())
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for the process's whole life
    values = given["run"]
    values["code_folders"] = tuple(values["code_folders"])
    RunOptions(**values, detached=True).export()
    for path in reversed(given["py_files"]):
        sys.path.insert(0, os.path.dirname(path) if path.endswith(".py") else path)
    try:
        program = find_program(given["program"], given["entry"], given["module"])
        program.run(given["arguments"])
    except SystemExit as stop:
        return _exit_code(stop)
    except BaseException as error:  # noqa: BLE001 - whatever the script raises is told
        _tell(error, given)
        return 1
    return 0


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code
    sys.stderr.write(f"{stop.code}\n")  # as Python does
    return 1


def _tell(error: BaseException, given: Mapping[str, Any]) -> None:
    """Write what was raised."""
    own = f"{os.path.dirname(given['program'])}{os.sep}"
    code = f"{given['code']}{os.sep}"

    def shown(text: str) -> str:
        """Without the folders that this run alone has."""
        return text.replace(own, "").replace(code, "")

    named = error if isinstance(error, LestoError) else None
    what = "".join(traceback.format_exception_only(error)).strip()
    told = {
        "exception": type(error).__name__,
        "code": named.code if named else "",
        "message": shown(named.message if named else what),
        "remedy": shown(named.remedy) if named else "Mend the script and upload it again.",
        "location": shown((named.location if named else "") or _place(error, code)),
        "traceback": shown(_user_traceback(error, given["program"])),
    }
    with open(given["outcome"], "w", encoding="utf-8") as file:
        json.dump(told, file)


def _user_traceback(error: BaseException, program: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return format_user_traceback(error, script=program)


def _place(error: BaseException, folder: str) -> str:
    """The deepest line of the uploaded files that led to the error, as ``file:line``."""
    if isinstance(error, SyntaxError) and (error.filename or "").startswith(folder):
        return f"{error.filename}:{error.lineno}"
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(folder):
            place = f"{frame.filename}:{frame.lineno}"
    return place


if __name__ == "__main__":
    sys.exit(main())
