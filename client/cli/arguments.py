"""The commands and options of `lesto`: Flink's verbs and letters."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

DESCRIPTION = "Stream processing with Flink's concepts, natively in Python."
EXAMPLES = """\
examples:
  lesto run job.py                      run a job here, on an embedded cluster
  lesto sql                             the SQL shell; lesto sql -f script.sql
  lesto dev                             a cluster on this machine, REST on port 8081
  lesto run -m 127.0.0.1:6123 -d job.py submit to a cluster and return
  lesto list                            running jobs
  lesto stop JOB                        stop with a savepoint
  lesto run -s SAVEPOINT job.py         go on from it
  lesto rescale JOB -p 4                another parallelism, in place
  lesto status JOB; lesto logs JOB -f   what it does, what it writes
  lesto state list SAVEPOINT            what is in it

Environment: LESTO_CONF_DIR (folder of config.yaml), LESTO_<KEY> (an option), LESTO_DEBUG=1.
Exit codes: 0 done, 1 job failed, 2 usage, 3 unreachable, 4 no such job, 5 refused, 6 cancelled.
"""


class _Parser(argparse.ArgumentParser):
    """argparse with our error format and exact options only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        print(f"LESTO-1100: {message}", file=sys.stderr)
        print(f"  what to do: see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(2)


class _Version(argparse.Action):
    """Prints the version; reading it from the installed metadata costs time only here."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import lesto

        print(f"lesto {lesto.__version__}")
        parser.exit()


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Turn the command line into a namespace with the command's ``module`` and ``function``.

    Raises:
        UnknownCommandError: there is no such command; names the nearest.
    """
    parser, commands = build_parser()
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in commands:
        from lesto.client.errors import UnknownCommandError
        from lesto.common.errors import did_you_mean

        msg = f"'{first}' is no command of lesto{did_you_mean(first, commands)}"
        raise UnknownCommandError(msg, remedy=f"Use one of: {', '.join(commands)}.")
    namespace = parser.parse_args(argv)
    if first is None:
        parser.print_help()
        raise SystemExit(2)
    return namespace


def build_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """Return the parser and the names of the commands."""
    common = _Parser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", default=False, help="show internal tracebacks"
    )
    common.add_argument("--config", metavar="FILE", help="configuration file (YAML or TOML)")
    common.add_argument(
        "-D",
        dest="properties",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set an option; repeatable",
    )
    parser = _Parser(prog="lesto", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", "-v", action=_Version, dest="version")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")

    def add(name: str, module: str, function: str, help: str, **more: Any) -> _Parser:
        made: _Parser = commands.add_parser(
            name, parents=[common], help=help, description=help, **more
        )
        made.set_defaults(module=module, function=function)
        return made

    _add_run(add)
    _add_sql(add)
    _add_job_commands(add)
    _add_processes(add)
    _add_operator(add)
    _add_state(add)
    _add_tools(add)
    return parser, list(commands.choices)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3_650:
        msg = f"'{text}' is no number of days from 1 to 3,650"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-m", "--jobmanager", metavar="HOST:PORT", help="address of the JobManager, or several, a,b"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="output format"
    )


def _add_script(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-p", "--parallelism", type=int, metavar="N", help="default parallelism")
    parser.add_argument(
        "-py", "--python", metavar="FILE", help="the job script, as Flink writes it"
    )
    parser.add_argument("-pym", "--pyModule", metavar="MODULE", help="run a module as the job")
    parser.add_argument(
        "-pyfs",
        "--pyFiles",
        metavar="PATHS",
        help="comma-separated folders, .py or .zip files to put on sys.path, here and on workers",
    )
    parser.add_argument("script", nargs="?", metavar="job.py", help="the job script")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="args", help="arguments of the script"
    )


def _add_run(add: Any) -> None:
    run = add(
        "run",
        "run",
        "run",
        "run a job script, here or on a cluster",
        epilog="examples:\n  lesto run job.py\n  lesto run -m 10.0.0.5:6123 -d -p 8 job.py --day 7",
    )
    _add_target(run)
    run.add_argument(
        "-d", "--detached", action="store_true", help="return once the job is submitted"
    )
    run.add_argument(
        "-s", "--fromSavepoint", metavar="PATH", help="start from a savepoint or checkpoint"
    )
    run.add_argument(
        "-n",
        "--allowNonRestoredState",
        action="store_true",
        help="accept state in the savepoint that the job no longer has an operator for",
    )
    run.add_argument(
        "-rm",
        "--claimMode",
        "--restoreMode",
        dest="claim_mode",
        metavar="MODE",
        help="whose the savepoint is: no_claim (it stays yours, the default) or claim (the job's)",
    )
    run.add_argument("-q", "--quiet", action="store_true", help="no progress display")
    _add_script(run)
    info = add("info", "info", "info", "show the plan of a job script without running it")
    info.add_argument("-o", "--output", choices=("text", "json"), default="text")
    _add_script(info)


def _add_sql(add: Any) -> None:
    sql = add(
        "sql",
        "sql",
        "sql",
        "SQL: a shell, or a script",
        epilog="examples:\n  lesto sql\n  lesto sql -f pipeline.sql\n  lesto sql -e 'SELECT 1 + 1'",
    )
    _add_target(sql)
    sql.add_argument("-f", "--file", metavar="FILE", help="carry out a script, and end")
    sql.add_argument("-e", "--statement", metavar="SQL", help="carry out statements, and end")
    sql.add_argument("-i", "--init", metavar="FILE", help="a script to begin with")
    sql.add_argument("-p", "--parallelism", type=int, metavar="N", help="default parallelism")


def _add_job_commands(add: Any) -> None:
    jobs = add("list", "jobs", "list_jobs", "list running and restarting jobs")
    _add_target(jobs)
    _add_output(jobs)
    which = jobs.add_mutually_exclusive_group()
    which.add_argument("-a", "--all", action="store_true", help="ended jobs too")
    which.add_argument("-r", "--running", action="store_true", help="running jobs only")
    which.add_argument("-s", "--scheduled", action="store_true", help="jobs that wait for slots")

    _add_looking(add)
    cancel = add("cancel", "jobs", "cancel", "cancel a job")
    _add_target(cancel)
    cancel.add_argument("job", metavar="JOB", help="id of the job, or its first digits")
    _add_savepoints(add)


def _add_looking(add: Any) -> None:
    status = add("status", "status", "status", "the cluster, or what a job does")
    _add_target(status)
    _add_output(status)
    status.add_argument(
        "job", nargs="?", default="", metavar="JOB", help="id of the job, or its first digits"
    )

    logs = add(
        "logs",
        "logs",
        "logs",
        "what the processes that run a job have logged and printed",
        epilog="examples:\n  lesto logs 1a2b --tail 50\n  lesto logs 1a2b --task window --follow",
    )
    _add_target(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
    logs.add_argument("--task", default="", metavar="NAME", help="only slots that run this task")
    logs.add_argument(
        "--tail", type=_lines, default=200, metavar="N", help="latest lines, to begin with (200)"
    )
    logs.add_argument("job", metavar="JOB", help="id of the job, or its first digits")

    workers = add("taskmanagers", "status", "taskmanagers", "list the TaskManagers")
    _add_target(workers)
    _add_output(workers)


def _add_savepoints(add: Any) -> None:
    stop = add("stop", "jobs", "stop", "stop a job with a savepoint")
    _add_target(stop)
    stop.add_argument(
        "-d", "--drain", action="store_true", help="let all windows fire: the job will not go on"
    )
    stop.add_argument("-p", "--savepointPath", metavar="DIR", default="", help="where it goes")
    stop.add_argument("job", metavar="JOB", help="id of the job, or its first digits")

    savepoint = add("savepoint", "jobs", "savepoint", "take a savepoint of a running job")
    _add_target(savepoint)
    savepoint.add_argument(
        "-d", "--dispose", metavar="PATH", help="delete this savepoint instead of taking one"
    )
    savepoint.add_argument(
        "job", nargs="?", default="", metavar="JOB", help="id of the job, or its first digits"
    )
    savepoint.add_argument("directory", nargs="?", default="", metavar="DIR", help="where it goes")

    checkpoint = add("checkpoint", "jobs", "checkpoint", "take a checkpoint of a running job now")
    _add_target(checkpoint)
    checkpoint.add_argument(
        "-full", "--full", action="store_true", help="build on no earlier checkpoint"
    )
    checkpoint.add_argument("job", metavar="JOB", help="id of the job, or its first digits")

    rescale = add(
        "rescale",
        "rescale",
        "rescale",
        "change a running job's parallelism in place",
        epilog="The job goes on from a checkpoint taken now, in the same slots and others that are"
        "\nfree. If it cannot have the parallelism it goes on as it was, and the reason is shown.",
    )
    _add_target(rescale)
    rescale.add_argument(
        "-p", "--parallelism", type=int, default=0, metavar="N", help="of every parallel vertex"
    )
    rescale.add_argument(
        "--vertex",
        action="append",
        default=[],
        metavar="NAME=N",
        help="of one vertex, by name or id; repeatable, on top of -p",
    )
    rescale.add_argument("job", metavar="JOB", help="id of the job, or its first digits")


def _add_processes(add: Any) -> None:
    dev = add("dev", "dev", "dev", "run a cluster on this machine until Ctrl-C")
    dev.add_argument("--slots", type=int, metavar="N", help="slots (default: cores, at most 4)")
    dev.add_argument("--port", type=int, metavar="PORT", help="port of the JobManager (6123)")
    dev.add_argument("--rest-port", type=int, metavar="PORT", help="port of REST (8081)")

    jobmanager = add("jobmanager", "processes", "jobmanager", "run a JobManager")
    jobmanager.add_argument("--host", metavar="HOST", help="address to listen on")
    jobmanager.add_argument("--port", type=int, metavar="PORT", help="port to listen on (6123)")
    jobmanager.add_argument("--rest-port", type=int, metavar="PORT", help="port of REST (8081)")
    jobmanager.add_argument(
        "--insecure", action="store_true", help="listen beyond loopback without a token"
    )

    taskmanager = add("taskmanager", "processes", "taskmanager", "run a TaskManager")
    taskmanager.add_argument(
        "-m", "--jobmanager", metavar="HOST:PORT", help="address of the JobManager, or several, a,b"
    )
    taskmanager.add_argument("--slots", type=int, metavar="N", help="number of slot processes")
    taskmanager.add_argument("--host", metavar="HOST", help="address other TaskManagers reach")


def _add_operator(add: Any) -> None:
    operator = add(
        "operator",
        "operator",
        "operator",
        "run the Kubernetes operator of LestoDeployment resources",
        epilog="example:\n  lesto operator --namespace streaming",
    )
    operator.add_argument(
        "--namespace",
        action="append",
        metavar="NAME",
        help="namespace to look after; repeatable (default: all of them)",
    )
    operator.add_argument(
        "--kubeconfig", metavar="FILE", help="how to reach the API, outside of a pod"
    )
    operator.add_argument(
        "--liveness", metavar="URL", help="where to answer probes: http://0.0.0.0:8080/healthz"
    )


def _add_state(add: Any) -> None:
    state = add(
        "state",
        "state",
        "state",
        "show what a checkpoint or savepoint holds",
        epilog="examples:\n  lesto state list /ck/savepoint-1a2b3c-...\n"
        "  lesto state read /ck/JOB/chk-7 --operator counter --state count\n"
        "  lesto state read s3://ck/JOB/chk-7 --operator counter -o parquet --to count.parquet",
    )
    state.add_argument(
        "action", choices=("list", "read"), help="list: operators and states; read: one state"
    )
    state.add_argument("savepoint", metavar="SAVEPOINT", help="its directory or _metadata; any URI")
    state.add_argument(
        "--operator", metavar="UID_OR_NAME", help="by default the one that has state"
    )
    state.add_argument("--state", metavar="NAME", help="by default the operator's only one")
    state.add_argument(
        "-o", "--output", choices=("table", "json", "parquet"), default="table", help="form"
    )
    state.add_argument("--limit", type=int, metavar="N", help="rows (a table: 100)")
    state.add_argument("--to", metavar="FILE", help="write there instead of standard output")
    state.add_argument(
        "--allow-pickle",
        action="store_true",
        help="load pickled values: runs code that is in the snapshot",
    )


def _lines(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"'{text}' is not a number of lines"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _add_tools(add: Any) -> None:
    config = add("config", "config", "show", "show the configuration")
    config.add_argument(
        "action",
        choices=("show",),
        nargs="?",
        default="show",
        help="show: print options and values",
    )
    config.add_argument(
        "-k", "--key", default="", metavar="KEY", help="only options whose key begins so"
    )
    config.add_argument(
        "--resolved", action="store_true", help="every option, with the origin of its value"
    )
    _add_output(config)
    certs = add(
        "certs",
        "certs",
        "certs",
        "make the certificates of a cluster, or show them",
        epilog="examples:\n  lesto certs init --dir certs --host lesto.example.com\n"
        "  lesto certs show --dir certs",
    )
    certs.add_argument("action", choices=("init", "show"), help="init: make them; show: list them")
    certs.add_argument("--dir", default="certs", metavar="DIR", help="their folder (certs)")
    certs.add_argument(
        "--host",
        action="append",
        metavar="NAME",
        help="name or address under which REST is reached; repeatable",
    )
    certs.add_argument(
        "--days", type=_days, default=730, metavar="N", help="for which they are valid (730)"
    )
    certs.add_argument("--force", action="store_true", help="replace the ones that are there")
    _add_output(certs)
    doctor = add("doctor", "doctor", "doctor", "check this machine and the cluster")
    _add_target(doctor)
    _add_output(doctor)
    completion = add(
        "completion",
        "completion",
        "completion",
        "print a script with which a shell completes what is typed",
        epilog="examples:\n  source <(lesto completion bash)\n"
        "  lesto completion zsh > ~/.zfunc/_lesto\n  lesto completion fish | source",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")
