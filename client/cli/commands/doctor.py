"""`lesto doctor`: looks for what usually goes wrong, here and between here and the cluster."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from lesto.client.cli.checks import cluster, machine
from lesto.client.cli.checks.finding import Check, Finding, Status, ok, problem
from lesto.client.cli.checks.storage import storage
from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import print_records
from lesto.client.cli.target import (
    JOBMANAGER_VARIABLE,
    configuration,
    connect,
    jobmanager_address,
)
from lesto.common.errors import LestoError


def doctor(arguments: argparse.Namespace) -> int:
    """Run every check; exit code 5 when one finds a problem."""
    config = configuration(arguments)
    checks: tuple[Check, ...] = (
        machine.python,
        machine.packages,
        machine.extras,
        machine.cores,
        lambda: machine.memory(config),
        machine.open_files,
        lambda: machine.space(config),
        machine.kernel_cache,
        lambda: cluster.ports(config),
        cluster.own_clock,
        lambda: storage(config),
        lambda: _cluster(arguments),
    )
    findings = [finding for check in checks for finding in _run(check)]
    print_records(
        [{"check": f.check, "status": f.status.value, "finding": f.finding} for f in findings],
        {"check": "CHECK", "status": "STATUS", "finding": "FINDING"},
        arguments.output,
    )
    bad = any(finding.status is Status.PROBLEM for finding in findings)
    return ExitCode.REFUSED if bad else ExitCode.OK


def _run(check: Check) -> list[Finding]:
    """A check that fails itself is a finding, and hides no other."""
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - a machine in trouble is what this is for
        name = getattr(check, "__name__", "").strip("<>")
        return [problem(name, f"the check failed: {type(error).__name__}: {error}")]


def _cluster(arguments: argparse.Namespace) -> Iterator[Finding]:
    asked = bool(arguments.jobmanager or os.environ.get(JOBMANAGER_VARIABLE))
    if not asked and not cluster.listens(jobmanager_address(arguments, configuration(arguments))):
        yield ok("jobmanager", "none answers here (`lesto run` brings its own)")
        return
    try:
        with connect(arguments) as client:
            yield from cluster.jobmanager(client)
    except LestoError as error:
        yield problem("jobmanager", f"{error.code}: {error.message}")
