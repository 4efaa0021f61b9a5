"""Network namespaces: each process of a cluster on a machine of its own, cables that can be cut.

``ip`` and ``iptables`` of the machine, as root. A bridge in this namespace (private addresses, no
way out) joins one namespace for the JobManager and one for each TaskManager. Rules are only ever
made inside those namespaces, and all of it goes with ``close``, also what a killed run left.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.fault.cluster import Place

NAMESPACES = Path("/run/netns")


def run(*command, check=True):
    """Run a command; its output."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=30
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def missing():
    """Why there are no networks here, or an empty text."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    absent = [program for program in ("ip", "iptables") if shutil.which(program) is None]
    if absent:
        return f"needs {', '.join(absent)} (Debian: apt-get install iproute2 iptables)"
    return ""


def netem_missing():
    """Why the kernel cannot delay packets by itself, or an empty text."""
    if missing():
        return missing()
    name = f"lfp{os.getpid() % 100000}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "lo", "root", "netem",
            "delay", "1ms")  # fmt: skip
    except RuntimeError as error:
        return f"needs netem: {error}"
    finally:
        run("ip", "netns", "del", name, check=False)
    return ""


class Network:
    """Context manager: namespaces called ``jobmanager``, ``taskmanager-0``, ... on one bridge."""

    def __init__(self, taskmanagers):
        # Several runs may be under way on one machine: the process's id is in every name.
        self._prefix = f"lf{os.getpid() % 1_000_000}"
        self._subnet = f"10.{200 + os.getpid() // 250 % 50}.{os.getpid() % 250}"
        self.names = ["jobmanager", *(f"taskmanager-{n}" for n in range(taskmanagers))]
        self._bridge = f"{self._prefix}b"

    def __enter__(self):
        _remove_leftovers()
        try:
            run("ip", "link", "add", self._bridge, "type", "bridge")
            run("ip", "addr", "add", f"{self._subnet}.1/24", "dev", self._bridge)
            run("ip", "link", "set", self._bridge, "up")
            # Where Docker is or was at work, what bridges forward is filtered, and dropped.
            run("iptables", "-I", *self._forwarding())
            for name in self.names:
                self._add(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            run("ip", "netns", "del", self.namespace(name), check=False)
            run("ip", "link", "del", self._cable(name), check=False)
        run("ip", "link", "del", self._bridge, check=False)
        run("iptables", "-D", *self._forwarding(), check=False)

    def _forwarding(self):
        return ("FORWARD", "-i", self._bridge, "-o", self._bridge, "-j", "ACCEPT")

    def namespace(self, name):
        """Name for ``ip netns``."""
        return f"{self._prefix}-{self.names.index(name)}"

    def _cable(self, name):
        return f"{self._prefix}v{self.names.index(name)}"

    def address(self, name):
        """IP address of a machine."""
        return f"{self._subnet}.{10 + self.names.index(name)}"

    def _add(self, name):
        space, cable = self.namespace(name), self._cable(name)
        run("ip", "netns", "add", space)
        run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "link", "set", cable, "master", self._bridge, "up")
        self.inside(name, "ip", "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self.inside(name, "ip", "link", "set", device, "up")

    def inside(self, name, *command):
        """Run a command on a machine."""
        return run("ip", "netns", "exec", self.namespace(name), *command)

    def place(self, role, index):
        """Where a process of a cluster runs."""
        name = role if role == "jobmanager" else f"{role}-{index}"
        return Place(prefix=("ip", "netns", "exec", self.namespace(name)), host=self.address(name))

    def cut(self, sender, receiver):
        """Drop every packet from one machine to another, at the receiver."""
        self._rules("-A", sender, receiver)

    def heal(self, sender, receiver):
        """Let them through again."""
        self._rules("-D", sender, receiver)

    def _rules(self, what, sender, receiver):
        self.inside(receiver, "iptables", what, "INPUT", "-s", self.address(sender), "-j", "DROP")

    @contextlib.contextmanager
    def partition(self, *pairs):
        """Cut directed pairs of (sender, receiver) for a while."""
        done = []
        try:
            for pair in pairs:
                self.cut(*pair)
                done.append(pair)
            yield
        finally:
            for pair in done:
                self.heal(*pair)

    @contextlib.contextmanager
    def loss(self, percent):
        """Each machine loses a share of what comes in, at random."""
        rule = ("-m", "statistic", "--mode", "random", "--probability", f"{percent / 100:.4f}")
        where = ("INPUT", "-i", "eth0", *rule, "-j", "DROP")
        done = []
        try:
            for name in self.names:
                self.inside(name, "iptables", "-A", *where)
                done.append(name)
            yield
        finally:
            for name in done:
                self.inside(name, "iptables", "-D", *where)

    def rest(self):
        """What is left of it: namespaces and devices."""
        spaces = [p.name for p in NAMESPACES.glob(f"{self._prefix}-*")]
        links = [x for x in run("ip", "-o", "link").split() if x.startswith(self._prefix)]
        return spaces + links


def _remove_leftovers():
    """Namespaces of runs that were killed: their process is gone."""
    for path in NAMESPACES.glob("lf*-*"):
        pid = path.name[2:].partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            run("ip", "netns", "del", path.name, check=False)
    for line in run("ip", "-o", "link", "show", "type", "bridge").splitlines():
        name = line.split()[1].rstrip(":")
        pid = name[2:-1]
        if name.startswith("lf") and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            run("ip", "link", "del", name, check=False)
