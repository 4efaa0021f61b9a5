"""`lesto config show`."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import print_records
from lesto.client.cli.target import configuration


def show(arguments: argparse.Namespace) -> int:
    """Print options with value and origin; secrets are redacted."""
    values = list(configuration(arguments).resolved())
    if arguments.resolved:
        values = [value for value in values if value.origin != "default"]
    if not values and arguments.output == "table":
        print("Nothing is set: every option has its default (`lesto config show`).")
        return ExitCode.OK
    print_records(
        [asdict(value) for value in values],
        {"key": "OPTION", "value": "VALUE", "origin": "ORIGIN"},
        arguments.output,
    )
    return ExitCode.OK
