"""`lesto config show`."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import print_records
from lesto.client.cli.target import configuration
from lesto.client.errors import UsageError
from lesto.common.errors import did_you_mean
from lesto.common.options import known_options


def show(arguments: argparse.Namespace) -> int:
    """Print options with value and origin; secrets are redacted.

    Raises:
        UsageError: no option begins so.
    """
    values = [v for v in configuration(arguments).resolved() if v.key.startswith(arguments.key)]
    if not values:
        near = did_you_mean(arguments.key, known_options())
        msg = f"no option begins with '{arguments.key}'{near}"
        raise UsageError(msg, remedy="List all of them with `lesto config show --resolved`.")
    if not arguments.resolved:
        values = [value for value in values if value.origin != "default"]
    if not values and arguments.output == "table":
        print("Nothing is set: every option has its default (`lesto config show --resolved`).")
        return ExitCode.OK
    print_records(
        [asdict(value) for value in values],
        {"key": "OPTION", "value": "VALUE", "origin": "ORIGIN"},
        arguments.output,
    )
    return ExitCode.OK
