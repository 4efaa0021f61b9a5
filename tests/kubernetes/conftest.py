"""A Kubernetes control plane for the tests that ask for one: LESTO_TEST_KUBERNETES=1."""

import contextlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lesto.client.operator.credentials import connect
from lesto.client.operator.kube import KubeApi
from tests.kubernetes.kubelet import Bridge, Kubelet, is_missing

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "build/kube/bin"


def helm():
    """Path of helm, or a visible skip."""
    found = BIN / "helm"
    path = str(found) if found.exists() else shutil.which("helm")
    if path is None:
        pytest.skip("helm is missing: run scripts/kube setup, or install helm 3")
    return path


def wants_cluster():
    if os.environ.get("LESTO_TEST_KUBERNETES") != "1":
        pytest.skip("needs a Kubernetes API server: scripts/kube setup, LESTO_TEST_KUBERNETES=1")
    if not (BIN / "kube-apiserver").exists():
        pytest.fail("LESTO_TEST_KUBERNETES=1 and no API server: run scripts/kube setup")


@dataclass
class Cluster:
    """A control plane, the network of its node, and who runs its pods."""

    kubeconfig: str
    http: object
    kube: KubeApi
    kubelet: Kubelet

    def kubectl(self, *arguments, stdin=None, check=True):
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout

    def until(self, what, timeout=60.0):
        """Wait for something to be true; its value."""
        end = time.monotonic() + timeout
        while True:
            value = what()
            if value:
                return value
            if time.monotonic() > end:
                pytest.fail(f"{what}: {self.kubelet.errors[-3:]}\n{self.story()}", pytrace=True)
            time.sleep(0.1)

    def story(self):
        """The ends of all logs."""
        logs = sorted(self.kubelet.dir.glob("pods/*/*.log"))
        return "\n".join(f"--- {log}\n{log.read_text()[-1500:]}" for log in logs)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    wants_cluster()
    missing = is_missing()
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("kube")
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(Bridge())
        started = subprocess.run(
            [ROOT / "scripts/kube", "start", folder / "plane", bridge.address],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        stack.callback(
            subprocess.run, [ROOT / "scripts/kube", "stop", folder / "plane"], timeout=60
        )
        assert started.returncode == 0, started.stderr
        kubeconfig = started.stdout.strip()
        http = connect(kubeconfig)
        kubelet = stack.enter_context(
            Kubelet(http, folder / "node", bridge, ROOT / "build/kube/kernels")
        )
        yield Cluster(kubeconfig, http, KubeApi(http), kubelet)


@pytest.fixture
def namespace(cluster):
    """A namespace that takes restricted pods only."""
    name = f"t{os.urandom(4).hex()}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    cluster.until(lambda: cluster.kube.get("ServiceAccount", name, "default"), 20)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
    cluster.until(lambda: not [p for p in cluster.kubelet.pods.values() if p.where == name])
