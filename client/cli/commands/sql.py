"""`lesto sql`: the SQL shell."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.failures import format_error
from lesto.client.cli.stop_signals import exit_on_sigterm
from lesto.client.cli.target import configuration
from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.run_options import RunOptions
from lesto.client.table.session import Session
from lesto.client.table.shell.runner import Runner, read_script
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import LestoError

#: Slots of the shell's own cluster, unless taskmanager.numberOfTaskSlots says it.
_SLOTS: Final = 4


def sql(arguments: argparse.Namespace) -> int:
    """Carry out scripts, or what is typed; return the exit code: 1 at the first error of a
    script.
    """
    config = configuration(arguments)
    jobmanager = arguments.jobmanager or os.environ.get("LESTO_JOBMANAGER", "")
    script = _script(arguments)
    if script is None:  # before the cluster starts: that may take a moment
        print("Lesto SQL. HELP; lists commands, QUIT; ends.", flush=True)
    with exit_on_sigterm(), _cluster(config, jobmanager) as address:
        run = RunOptions(jobmanager=address, config=config.to_dict())
        env = StreamExecutionEnvironment(config, replace(run, config={}))
        if arguments.parallelism is not None:
            env.set_parallelism(arguments.parallelism)
        live = script is None and sys.stdout.isatty()
        runner = Runner(Session(env), live=live)
        try:
            if arguments.init:
                runner.script(read_script(arguments.init))
            if script is None:
                return _interactive(runner)
            runner.script(script)
            if not jobmanager:
                runner.finish()
        except LestoError as error:
            print(format_error(error), file=sys.stderr)
            return ExitCode.JOB_FAILED
    return ExitCode.OK


def _script(arguments: argparse.Namespace) -> str | None:
    if arguments.file:
        return read_script(arguments.file)
    if arguments.statement:
        return str(arguments.statement)
    return None if sys.stdin.isatty() else sys.stdin.read()


def _interactive(runner: Runner) -> int:
    from lesto.client.table.shell.prompt import interact

    interact(runner)
    return ExitCode.OK


@contextlib.contextmanager
def _cluster(config: Configuration, jobmanager: str) -> Iterator[str]:
    """The address of the JobManager: the one that is named, or one of the shell's own."""
    if jobmanager:
        yield jobmanager
        return
    from lesto.client.minicluster import MiniCluster

    slots = config.get(options.TASK_SLOTS) if config.contains(options.TASK_SLOTS) else _SLOTS
    given = Configuration(config)
    if not given.contains(options.RESTART_ON_USER_ERRORS):
        given.set(options.RESTART_ON_USER_ERRORS, False, origin="lesto sql")
    with MiniCluster(given, slots=slots) as cluster:
        config.set(options.SECURITY_TOKEN, cluster.token, origin="lesto sql")
        yield cluster.address
