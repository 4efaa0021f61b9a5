"""`lesto run`: executes a job script as if by `python job.py`, with what the options ask."""

from __future__ import annotations

import argparse
import contextlib
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.failures import (
    debug_wanted,
    format_error,
    format_user_traceback,
    job_failure_code,
)
from lesto.client.cli.stop_signals import exit_on_sigterm
from lesto.client.cli.target import configuration
from lesto.client.errors import NoJobError, ScriptNotFoundError
from lesto.client.run_options import RunOptions
from lesto.common import options
from lesto.common.config import Configuration, InvalidOptionError
from lesto.common.errors import LestoError
from lesto.common.locations import absolute
from lesto.common.scratch import ScratchDirectory


def run(arguments: argparse.Namespace) -> int:
    """Run a job script; return its exit code."""
    script, rest = script_and_arguments(arguments)
    config = configuration(arguments)
    jobmanager = arguments.jobmanager or os.environ.get("LESTO_JOBMANAGER", "")
    if jobmanager:
        _check_cluster(arguments, jobmanager)
    with exit_on_sigterm(), contextlib.closing(ScratchDirectory("run")) as folder:
        submitted = folder.path / "submitted"
        RunOptions(
            jobmanager=jobmanager,
            parallelism=parallelism(arguments),
            savepoint=absolute(arguments.fromSavepoint or ""),
            allow_non_restored=arguments.allowNonRestoredState,
            detached=arguments.detached or not config.get(options.ATTACHED),
            config=with_claim_mode(config, arguments).to_dict(),
            progress=not arguments.quiet,
            submitted_path=str(submitted),
            python_paths=python_paths(arguments),
        ).export()
        code = execute_script(script, rest, arguments)
        jobs = submitted.read_text().split() if submitted.exists() else []
    if code == ExitCode.OK and not jobs:
        msg = f"{script} ended without submitting a job"
        raise NoJobError(msg, remedy="Call env.execute() at its end.")
    if code == ExitCode.OK and arguments.detached:
        for job in jobs:
            print(f"Job {job} submitted.")
    return code


def _check_cluster(arguments: argparse.Namespace, address: str) -> None:
    """Fail before the script does its work when nobody would take the job."""
    from lesto.client.cli.target import connect

    arguments.jobmanager = address
    with connect(arguments) as client:
        client.cluster()


def with_claim_mode(config: Configuration, arguments: argparse.Namespace) -> Configuration:
    """The configuration with -rm.

    Raises:
        InvalidOptionError: there is no such mode, or it is not supported.
    """
    if arguments.claim_mode:
        config.set(options.CLAIM_MODE, arguments.claim_mode.upper(), origin="-rm")
    if config.get(options.CLAIM_MODE) is options.RestoreClaimMode.LEGACY:
        msg = "the claim mode LEGACY is not supported: nobody would own the savepoint"
        raise InvalidOptionError(msg, remedy="Give no_claim (the default) or claim.")
    return config


def parallelism(arguments: argparse.Namespace) -> int | None:
    """Return -p, checked.

    Raises:
        InvalidOptionError: it is below 1.
    """
    if arguments.parallelism is None:
        return None
    return options.PARALLELISM.parse(arguments.parallelism)


def script_and_arguments(arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the script (or module) and its arguments.

    Raises:
        ScriptNotFoundError: none is given, or it is no file that can be read.
    """
    rest = list(arguments.arguments)
    if (arguments.python or arguments.pyModule) and arguments.script is not None:
        rest.insert(0, arguments.script)
    script = arguments.python or arguments.script
    if rest and rest[0] == "--":
        rest.pop(0)
    if arguments.pyModule:
        return arguments.pyModule, rest
    if script is None:
        msg = "no job script is given"
        raise ScriptNotFoundError(msg, remedy="Write `lesto run job.py`.")
    path = Path(script)
    if not path.is_file():
        why = "is a directory" if path.is_dir() else "does not exist"
        near = _similar_file(path)
        msg = f"the job script {script} {why}{near}"
        raise ScriptNotFoundError(msg, remedy="Check the path; options go before the script.")
    if not os.access(path, os.R_OK):
        msg = f"the job script {script} cannot be read"
        raise ScriptNotFoundError(msg, remedy="Check its permissions.")
    return script, rest


def _similar_file(path: Path) -> str:
    from lesto.common.errors import did_you_mean

    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, (other.name for other in path.parent.glob("*.py")))


def python_paths(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What ``-pyfs`` puts on ``sys.path``: folders and archives themselves, files by folder."""
    entries = [os.path.abspath(e) for e in (arguments.pyFiles or "").split(",") if e]
    return tuple(os.path.dirname(e) if e.endswith(".py") else e for e in entries)


def execute_script(script: str, rest: Sequence[str], arguments: argparse.Namespace) -> int:
    """Run a script as ``__main__``; print what it raises, the user's frames first."""
    for entry in reversed(python_paths(arguments)):
        sys.path.insert(0, entry)
    sys.argv = [script, *rest]
    try:
        if arguments.pyModule:
            sys.path.insert(0, os.getcwd())
            runpy.run_module(script, run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
            runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        return _exit_code(stop)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except LestoError as error:
        return _report_lesto_error(error, script)
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises is shown to them
        print(format_user_traceback(error, script=script), file=sys.stderr)
        return ExitCode.JOB_FAILED
    return ExitCode.OK


def _report_lesto_error(error: LestoError, script: str) -> int:
    if debug_wanted():
        print(format_user_traceback(error, script=script), file=sys.stderr)
    elif not error.location:
        error.location = _script_line(error, script)
    print(format_error(error), file=sys.stderr)
    return job_failure_code(error)


def _script_line(error: BaseException, script: str) -> str:
    """Return the deepest line of the script that led to the error, as ``file:line``."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == script:
            place = f"{script}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return ExitCode.OK
    if isinstance(stop.code, int):
        return stop.code
    print(stop.code, file=sys.stderr)
    return ExitCode.JOB_FAILED
