"""The chart on a real API server: admission, rights, leader election, recovery."""

import subprocess
import time

import pytest
import yaml

from lesto.client.operator.http import JsonHttp
from tests.kubernetes.conftest import ROOT, helm
from tests.kubernetes.results import check

#: A control plane and real clusters, on whatever machine.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CHART = ROOT / "deploy/helm/lesto"
TOKEN = "0123456789abcdef0123456789abcdef"


def install(cluster, namespace, name, values):
    """Render with helm and apply, as `helm install` does."""
    done = subprocess.run(
        [helm(), "template", name, CHART, "-n", namespace, "-f", "-"],
        input=yaml.safe_dump(values), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    objects = [o for o in objects if "helm.sh/hook" not in (o["metadata"].get("annotations") or {})]
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(objects))


def values(**more):
    """Small, in application mode."""
    small = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    return {
        "auth": {"token": TOKEN},
        "config": {"execution.checkpointing.interval": "500 ms"},
        "jobManager": {"replicas": 2, "resources": small},
        "taskManager": {"replicas": 1, "slots": 2, "resources": small},
        "mode": "application",
        "job": {
            "pyFile": str(ROOT / "tests/kubernetes/job.py"), "parallelism": 2, "resources": small,
            "args": ["--output", "/var/lib/lesto/storage/out"],
        },
        **more,
    }  # fmt: skip


def leader(cluster, namespace, name):
    lease = cluster.kube.get("Lease", namespace, name)
    if not (lease.get("spec") or {}).get("holderIdentity"):
        return ""
    return lease["metadata"]["annotations"]["lesto.io/address"].rpartition(":")[0]


def jobs(address):
    """id -> state, as that JobManager's REST says; empty when it does not answer."""
    answer = JsonHttp(f"http://{address}:8081", TOKEN, timeout_seconds=3).call("GET", "/v1/jobs")
    return {j["id"]: j["status"] for j in answer.body["jobs"]} if answer.status == 200 else {}


def test_a_standby_takes_over_and_nothing_counts_twice(cluster, namespace):
    install(cluster, namespace, "ha", values())
    out = cluster.kubelet.dir / "claims/ha-lesto-storage/out"

    def address():
        return leader(cluster, namespace, "lesto-ha-lesto")

    first = cluster.until(address, 60)
    ((job, _),) = cluster.until(lambda: jobs(first).items(), 120)
    cluster.until(lambda: jobs(first).get(job) == "RUNNING", 60)
    cluster.until(lambda: out.exists() and check_some(out) > 200, 90)

    (pod,) = [p for p in cluster.kubelet.pods.values() if p.address == first]
    standbys = [p for p in cluster.kubelet.pods.values() if "jobmanager" in p.name and p is not pod]
    assert standbys
    killed = time.monotonic()
    pod.kill()
    second = cluster.until(lambda: address() not in {"", first} and address(), 30)
    elected = time.monotonic() - killed
    cluster.until(lambda: jobs(second).get(job) == "RUNNING", 60)
    running = time.monotonic() - killed
    before = check(out)
    cluster.until(lambda: check_some(out) > before + 200, 60)
    print(f"elected after {elected:.2f} s, the job RUNNING after {running:.2f} s")
    assert elected < 15

    # The submitter's pod is tried again: the job is the one that is there.
    assert list(jobs(second)) == [job]
    # What made the Lease is still its owner's: labels stay.
    lease = cluster.kube.get("Lease", namespace, "lesto-ha-lesto")
    assert lease["metadata"]["labels"]["app.kubernetes.io/instance"] == "ha"
    assert check(out) > before


def check_some(out):
    try:
        return check(out)
    except ValueError:  # nothing is published yet
        return 0


def test_the_service_account_may_look_at_its_lease_and_nothing_else(cluster, namespace):
    install(cluster, namespace, "small", values(mode="session"))
    account = f"system:serviceaccount:{namespace}:small-lesto"
    lease = "leases.coordination.k8s.io/lesto-small-lesto"

    def may(*what):
        return cluster.kubectl("auth", "can-i", *what, "-n", namespace, "--as", account,
                               check=False).strip() == "yes"  # fmt: skip

    assert may("get", lease)
    assert may("patch", lease)
    for verb in ("list", "watch", "create", "update", "delete"):
        assert not may(verb, lease), verb
    for verb, what in (
        ("get", "leases.coordination.k8s.io/lesto-other"), ("get", "secrets"), ("list", "pods"),
        ("create", "pods"), ("get", "configmaps"),
    ):  # fmt: skip
        assert not may(verb, what), (verb, what)
