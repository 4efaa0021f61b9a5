"""Completion in real shells."""

import os
import shutil
import subprocess

import pytest

from lesto.client.cli.arguments import build_parser
from lesto.client.cli.completion_scripts import described, script
from lesto.common.options import known_options

JOBS = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The scripts, and a `lesto` that lists two jobs."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        (folder / shell).write_text(script(shell, build_parser()[0], known_options()))
    rows = "\n".join(f"{job}  flights  RUNNING" for job in JOBS)
    (folder / "lesto").write_text(f"#!/bin/sh\ncat <<END\nJOB  NAME  STATE\n{rows}\nEND\n")
    (folder / "lesto").chmod(0o755)
    (folder / "job.py").write_text("")
    return folder


def bash(folder, *words):
    quoted = " ".join(f"'{word}'" for word in words)
    text = (
        f"source {folder}/bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        'compopt() { :; }; _lesto; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return run(folder, "bash", "--norc", "-c", text)


def zsh(folder, *words):
    quoted = " ".join(f"'{word}'" for word in words)
    # Only inside of an editor there is something to add to.
    text = (
        "compdef() { :; }; _files() { print -l job.py };"
        " compadd() { while [[ $1 != -- ]]; do shift; done; shift;"
        ' for w in "$@"; do [[ $w == "${words[CURRENT]}"* ]] && print -r -- $w; done };'
        f" source {folder}/zsh; words=({quoted}); CURRENT={len(words)}; _lesto"
    )
    return run(folder, "zsh", "-f", "-c", text)


def fish(folder, *words):
    text = f"source {folder}/fish; complete -C '{' '.join(words)}'"
    lines = run(folder, "fish", "--no-config", "-c", text)
    return [line.partition("\t")[0] for line in lines]


def run(folder, *command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}: apt-get install {command[0]}")
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("complete", [bash, zsh, fish])
def test_commands_options_choices_and_jobs(folder, complete):
    assert complete(folder, "lesto", "li") == ["list"]
    assert {"run", "stop", "doctor", "logs", "completion"} <= set(complete(folder, "lesto", ""))
    assert complete(folder, "lesto", "stop", "--sav") == ["--savepointPath"]
    assert complete(folder, "lesto", "cancel", "") == JOBS
    assert complete(folder, "lesto", "cancel", "fed") == JOBS[1:]
    assert complete(folder, "lesto", "logs", "--follow", "012") == JOBS[:1]
    assert sorted(complete(folder, "lesto", "list", "-o", "")) == ["json", "table", "yaml"]
    assert complete(folder, "lesto", "completion", "z") == ["zsh"]
    assert "job.py" in complete(folder, "lesto", "run", "job")
    keys = complete(folder, "lesto", "config", "-D", "execution.checkpointing.inter")
    assert keys == ["execution.checkpointing.interval="]


def test_every_command_and_option_is_in_every_script(folder):
    parser, names = build_parser()
    commands = described(parser)
    assert [command.name for command in commands] == names
    for shell in ("bash", "zsh"):
        text = (folder / shell).read_text()
        assert all(flag in text for command in commands for flag in command.flags)
    text = (folder / "fish").read_text()
    assert all(f" {flag.lstrip('-')} " in text for c in commands for flag in c.flags)


def test_job_commands_complete_jobs():
    for command in described(build_parser()[0]):
        if command.name in {
            "cancel",
            "stop",
            "savepoint",
            "checkpoint",
            "rescale",
            "logs",
            "status",
        }:
            assert command.positional.takes == "jobs", command.name
