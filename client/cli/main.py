"""The command `lesto`.

Start-up is what every call pays, so this module and ``arguments`` import nothing but argparse; a
command's module is imported when it runs.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from lesto.client.cli.exit_codes import ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from lesto.client.cli.arguments import parse_arguments

    try:
        namespace = parse_arguments(sys.argv[1:] if argv is None else list(argv))
        if namespace.debug:
            os.environ["LESTO_DEBUG"] = "1"
        command = importlib.import_module(f"lesto.client.cli.commands.{namespace.module}")
        return int(getattr(command, namespace.function)(namespace))
    except BrokenPipeError:  # the reader of our output has gone, as in `lesto list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence prints every error by name
        from lesto.client.cli.failures import report_error

        return report_error(error)


if __name__ == "__main__":
    sys.exit(main())
