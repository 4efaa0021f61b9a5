"""Exit codes of the command line; docs/cli.md lists them."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the exit status of `lesto` says."""

    OK = 0
    JOB_FAILED = 1  # the job failed, or the user's script raised
    USAGE = 2  # a wrong command, option, configuration or file name
    UNREACHABLE = 3  # no JobManager answers, or it does not accept the token
    NOT_FOUND = 4  # no such job
    REFUSED = 5  # the cluster refused or could not do what was asked
    CANCELED = 6  # the job was cancelled while `lesto run` waited for it
    INTERNAL = 70  # a defect of Lesto
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


_NOT_FOUND = {"LESTO-1104", "LESTO-1105", "LESTO-4102"}
_UNREACHABLE = {"LESTO-1101", "LESTO-1102", "LESTO-1103", "LESTO-4108"}


def exit_code_of(code: str) -> ExitCode:
    """Return the exit code for an error code such as ``LESTO-1101``.

    >>> exit_code_of("LESTO-1001").name, exit_code_of("LESTO-6001").name
    ('USAGE', 'JOB_FAILED')
    """
    if code in _NOT_FOUND:
        return ExitCode.NOT_FOUND
    if code in _UNREACHABLE:
        return ExitCode.UNREACHABLE
    match code.removeprefix("LESTO-")[:1]:
        case "1" | "2":
            return ExitCode.USAGE
        case "4" | "5":
            return ExitCode.REFUSED
        case "9":
            return ExitCode.INTERNAL
        case _:
            return ExitCode.JOB_FAILED
