"""Proxies on the cables between machines: all TCP of a cluster goes through one.

Each machine of a ``Network`` has a proxy of its own, to which its outgoing connections are
redirected: TaskManager to JobManager, and producer to consumer on data channels.
"""

import contextlib
import json
import subprocess
import sys

from tests.fault.exactly_once import ROOT
from tests.fault.net import Network

MARK = 7


class Proxy:
    """A proxy process; context manager."""

    def __init__(self, *arguments, prefix=(), seed=1):
        command = [*prefix, sys.executable, "-m", "tests.fault.proxy", "--seed", str(seed)]
        self._process = subprocess.Popen(
            [*command, *map(str, arguments)], cwd=ROOT, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        first = self._process.stdout.readline().split()
        if first[:1] != ["port"]:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"the proxy did not start: {first}")
        self.port = int(first[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def tell(self, **faults):
        """Do this from now on; counts so far."""
        self._process.stdin.write(json.dumps(faults) + "\n")
        return json.loads(self._process.stdout.readline())


class Wires:
    """The proxies of a network's machines; context manager."""

    def __init__(self, network, seed):
        self.network = network
        self._seed = seed
        self._stack = contextlib.ExitStack()
        self.proxies = {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for number, name in enumerate(self.network.names):
                prefix = ("ip", "netns", "exec", self.network.namespace(name))
                proxy = stack.enter_context(
                    Proxy("--listen", "0.0.0.0:0", "--mark", MARK, prefix=prefix,
                          seed=self._seed * 100 + number)
                )  # fmt: skip
                self.proxies[name] = proxy
                self.network.inside(
                    name, "iptables", "-t", "nat", "-A", "OUTPUT", "-o", "eth0", "-p", "tcp",
                    "-m", "mark", "!", "--mark", MARK, "-j", "REDIRECT", "--to-ports", proxy.port,
                )  # fmt: skip
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def tell(self, *names, **faults):
        """Do this on these machines' outgoing connections (all for none named); counts, summed."""
        counts = [self.proxies[name].tell(**faults) for name in names or self.proxies]
        return {key: sum(c[key] for c in counts) for key in counts[0]}


@contextlib.contextmanager
def wired(seed, taskmanagers=2):
    """A network with proxies."""
    with Network(taskmanagers) as network, Wires(network, seed) as wires:
        yield wires
    if network.rest():
        raise AssertionError(f"left behind: {network.rest()}")
