"""A process that has Lesto imported and forks a `lesto` command for each line it is sent.

Saves each of many commands the second that imports take; the command itself runs as always: in a
process of its own, with its own arguments, environment, directory and output files.
"""

import json
import os
import sys

import lesto.client.jobmanager_client
import lesto.client.minicluster
import lesto.client.submit
import lesto.connectors.files
import lesto.datastream
import lesto.datastream.state
import lesto.datastream.window  # noqa: F401 - what scripts import
from lesto.client.cli.main import main


def serve():
    """Fork for each request; in a child, return its arguments."""
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request)
            return request["arguments"]
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(request):
    """Take on the request's environment, directory and streams."""
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    for number, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, number)
        os.close(target)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process


if __name__ == "__main__":
    given = serve()
    if given is not None:
        sys.argv = ["lesto", *given]
        sys.exit(main(given))
