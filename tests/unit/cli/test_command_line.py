"""The command as users type it: help, versions, mistakes, exit codes, output forms."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from lesto.client.cli.exit_codes import ExitCode, exit_code_of
from lesto.client.cli.main import main
from lesto.common.options import known_options

HELP_BUDGET_SECONDS = 0.200


def lesto(*arguments, env=None, cwd=None):
    """Run the command in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if "__" not in k and k != "LESTO_JOBMANAGER"}
    return subprocess.run(
        [sys.executable, "-m", "lesto.client.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**environment, **(env or {})},
    )


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("LESTO_") and ("__" in name or name in {"LESTO_JOBMANAGER"}):
            monkeypatch.delenv(name)
    monkeypatch.delenv("LESTO_DEBUG", raising=False)


def test_help_is_fast_and_loads_nothing_heavy():
    heavy = ("pyarrow", "numpy", "numba", "grpc", "rich", "typer", "yaml", "starlette", "structlog")
    # What the interpreter itself costs here and now is not ours: compare with a bare start.
    best = bare = float("inf")
    for _ in range(7):  # the best of several: a busy machine only ever adds
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare = min(bare, time.perf_counter() - started)
        started = time.perf_counter()
        done = lesto("--help")
        best = min(best, time.perf_counter() - started)
        assert done.returncode == 0
    assert best < max(HELP_BUDGET_SECONDS, 4 * bare), f"{best * 1000:.0f} ms"
    probe = (
        "import sys, contextlib, io\n"
        "from lesto.client.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "info",
        "list",
        "cancel",
        "stop",
        "savepoint",
        "dev",
        "jobmanager",
        "taskmanager",
        "config",
        "doctor",
        "status",
        "logs",
        "taskmanagers",
        "completion",
    ],
)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"lesto {command}" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("lesto 0.")


def test_no_command_prints_help_and_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == ExitCode.USAGE
    assert "lesto run job.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["lst"], ExitCode.USAGE, "did you mean 'list'"),
        (["config", "show", "-D", "rest.prot=1"], ExitCode.USAGE, "did you mean 'rest.port'"),
        (["config", "show", "-D", "rest.port=x"], ExitCode.USAGE, "Give a whole number"),
        (["config", "show", "-D", "rest.port"], ExitCode.USAGE, "key=value"),
        (["config", "show", "--config", "/no/such.yaml"], ExitCode.USAGE, "/no/such.yaml"),
        (["run"], ExitCode.USAGE, "no job script"),
        (["run", "/no/such/job.py"], ExitCode.USAGE, "/no/such/job.py does not exist"),
        (["run", "/"], ExitCode.USAGE, "is a directory"),
        (["list", "-m", "nowhere"], ExitCode.USAGE, "HOST:PORT"),
        (["list", "-m", "127.0.0.1:1"], ExitCode.UNREACHABLE, "127.0.0.1:1"),
        (["cancel", "-m", "127.0.0.1:1", "ab"], ExitCode.UNREACHABLE, "lesto dev"),
        (["stop", "-m", "127.0.0.1:1", "ab"], ExitCode.UNREACHABLE, "127.0.0.1:1"),
        (["savepoint", "-m", "127.0.0.1:1", "ab"], ExitCode.UNREACHABLE, "127.0.0.1:1"),
        (["rescale", "-m", "127.0.0.1:1", "-p", "2", "ab"], ExitCode.UNREACHABLE, "127.0.0.1:1"),
        (["rescale", "ab"], ExitCode.USAGE, "-p N, or --vertex NAME=N"),
        (["rescale", "--vertex", "Map", "ab"], ExitCode.USAGE, "'Map' is not NAME=N"),
    ],
)
def test_mistakes_name_cause_and_remedy(arguments, code, said, capsys):
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("LESTO-")
    assert "what to do:" in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [["list", "-x"], ["cancel"], ["list", "-a", "-r"]])
def test_wrong_options_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("LESTO-1100: ")


def test_a_similar_script_is_suggested(tmp_path, capsys):
    (tmp_path / "flights.py").write_text("")
    assert main(["run", str(tmp_path / "fligths.py")]) == ExitCode.USAGE
    assert "did you mean 'flights.py'" in capsys.readouterr().err


def test_debug_shows_the_internal_traceback():
    quiet = lesto("config", "show", "-D", "rest.prot=1")
    loud = lesto("config", "show", "-D", "rest.prot=1", "--debug")
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
    assert quiet.returncode == loud.returncode == ExitCode.USAGE


def test_config_show_says_where_values_are_from(tmp_path, capsys, monkeypatch):
    (tmp_path / "config.yaml").write_text("rest.port: 9\nsecurity.token: hunter2\n")
    monkeypatch.setenv("LESTO_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("LESTO_PARALLELISM__DEFAULT", "5")
    arguments = ["config", "show", "-D", "pipeline.name=j"]
    assert main([*arguments, "-o", "json"]) == 0
    values = {entry["key"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert values.keys() == {"parallelism.default", "pipeline.name", "rest.port", "security.token"}
    assert values["rest.port"]["origin"] == f"{tmp_path / 'config.yaml'}:1"
    assert values["parallelism.default"]["origin"] == "environment LESTO_PARALLELISM__DEFAULT"
    assert values["security.token"]["value"] == "******"
    assert main([*arguments, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == list(values.values())
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[0].split() == ["OPTION", "VALUE", "ORIGIN"]
    assert "\x1b" not in table
    assert main([*arguments, "--resolved", "-o", "json"]) == 0
    every = {entry["key"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert every.keys() == known_options().keys()
    assert every.items() >= values.items()
    assert every["rest.bind-address"] == {
        "key": "rest.bind-address",
        "value": "127.0.0.1",
        "origin": "default",
    }
    assert main([*arguments, "--resolved", "-k", "rest.p"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "rest.port"
    assert main([*arguments, "-k", "rest.prot"]) == ExitCode.USAGE
    assert "did you mean 'rest.port'" in capsys.readouterr().err


def test_output_to_a_closed_pipe_is_quiet():
    command = f"{sys.executable} -m lesto.client.cli.main config show | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "BrokenPipe" not in done.stderr


# ---------------------------------------------------------------------------------------- scripts


def test_a_script_that_raises_shows_its_own_frames_only(tmp_path):
    script = tmp_path / "job.py"
    script.write_text("def f(x):\n    return 1 / x\n\nf(0)\n")
    done = lesto("run", str(script))
    assert done.returncode == ExitCode.JOB_FAILED
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert f'File "{script}", line 4, in <module>' in done.stderr
    assert f'File "{script}", line 2, in f' in done.stderr
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "runpy" not in done.stderr
    assert "lesto" not in done.stderr.replace(str(tmp_path), "")


def test_a_syntax_error_points_at_the_line(tmp_path):
    script = tmp_path / "job.py"
    script.write_text("x = 1\nif x\n    pass\n")
    done = lesto("run", str(script))
    assert done.returncode == ExitCode.JOB_FAILED
    assert f'File "{script}", line 2' in done.stderr
    assert "SyntaxError" in done.stderr
    assert "runpy" not in done.stderr


def test_an_error_of_ours_in_a_script_is_located(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "from lesto.common.config import Configuration\n"
        "Configuration.from_dict({'rest.prot': '1'})\n"
    )
    done = lesto("run", str(script))
    assert done.returncode == ExitCode.USAGE
    assert f"at: {script}:2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_sees_itself_as_main_with_its_arguments(tmp_path):
    (tmp_path / "helper.py").write_text("VALUE = 7\n")
    script = tmp_path / "job.py"
    script.write_text(
        "import sys, helper\nif __name__ == '__main__':\n"
        "    print(sys.argv[1:], helper.VALUE, __file__ == sys.argv[0])\n    sys.exit(9)\n"
    )
    done = lesto("run", "-p", "2", str(script), "--day", "7", "-p", "x")
    assert done.stdout.strip() == "['--day', '7', '-p', 'x'] 7 True"
    assert done.returncode == 9


def test_flinks_python_option_names_the_script(tmp_path):
    script = tmp_path / "job.py"
    script.write_text("import sys\nprint(sys.argv[1:])\nsys.exit(3)\n")
    done = lesto("run", "-py", str(script), "a", "b")
    assert done.stdout.strip() == "['a', 'b']"
    assert done.returncode == 3


def test_a_script_without_a_job_is_an_error(tmp_path):
    script = tmp_path / "job.py"
    script.write_text("print('hello')\n")
    done = lesto("run", str(script))
    assert done.stdout == "hello\n"
    assert "LESTO-1113" in done.stderr
    assert done.returncode == ExitCode.USAGE


def test_an_unreachable_jobmanager_is_found_before_the_script_runs(tmp_path):
    script = tmp_path / "job.py"
    script.write_text("print('ran')\n")
    done = lesto("run", "-m", "127.0.0.1:1", str(script))
    assert done.returncode == ExitCode.UNREACHABLE
    assert done.stdout == ""
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("parallelism", ["0", "-3"])
def test_a_wrong_parallelism_is_refused(tmp_path, parallelism, capsys):
    script = tmp_path / "job.py"
    script.write_text("")
    assert main(["run", "-p", parallelism, str(script)]) == ExitCode.USAGE
    assert "parallelism.default" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("LESTO-1001", ExitCode.USAGE),
        ("LESTO-2003", ExitCode.USAGE),
        ("LESTO-1101", ExitCode.UNREACHABLE),
        ("LESTO-4108", ExitCode.UNREACHABLE),
        ("LESTO-1104", ExitCode.NOT_FOUND),
        ("LESTO-4107", ExitCode.REFUSED),
        ("LESTO-5101", ExitCode.REFUSED),
        ("LESTO-6001", ExitCode.JOB_FAILED),
        ("LESTO-3001", ExitCode.JOB_FAILED),
        ("LESTO-9000", ExitCode.INTERNAL),
    ],
)
def test_exit_codes_follow_the_error(code, expected):
    assert exit_code_of(code) == expected


def test_python_files_are_importable_by_their_folder(tmp_path, monkeypatch):
    from argparse import Namespace

    from lesto.client.cli.commands.run import python_paths

    monkeypatch.chdir(tmp_path)
    found = python_paths(Namespace(pyFiles="lib/mine.py,more,code.zip"))
    assert found == tuple(str(tmp_path / name) for name in ("lib", "more", "code.zip"))
