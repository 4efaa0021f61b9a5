"""`lesto completion`: scripts that let shells complete commands, options and ids of jobs."""

from __future__ import annotations

import argparse

from lesto.client.cli.arguments import build_parser
from lesto.client.cli.completion_scripts import script
from lesto.client.cli.exit_codes import ExitCode
from lesto.common.options import known_options


def completion(arguments: argparse.Namespace) -> int:
    """Print the script of a shell."""
    print(script(arguments.shell, build_parser()[0], known_options()), end="")
    return ExitCode.OK
