"""The operator on a real API server, driving a real cluster of Lesto."""

import contextlib
import subprocess
import time

import pytest
import yaml

from lesto.client.operator.errors import KubernetesApiError
from tests.kubernetes.conftest import ROOT, helm
from tests.kubernetes.results import check

#: A control plane and real clusters, on whatever machine.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CHART = ROOT / "deploy/helm/lesto-operator"
OUT = "/var/lib/lesto/storage/out"


@pytest.fixture(scope="module")
def definition(cluster):
    cluster.kubectl("apply", "--server-side", "-f", str(CHART / "crds"))
    cluster.until(
        lambda: "True" in cluster.kubectl(
            "get", "crd", "lestodeployments.lesto.io", "-o",
            'jsonpath={.status.conditions[?(@.type=="Established")].status}',
        )
    )  # fmt: skip


@pytest.fixture
def operator(cluster, namespace, definition):
    """Installed by its chart, run as a pod with its own service account."""
    done = subprocess.run(
        [helm(), "template", "op", CHART, "-n", namespace],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=done.stdout)
    cluster.until(lambda: pods(cluster, namespace, "operator"), 60)
    return namespace


def pods(cluster, namespace, part):
    return [p for p in cluster.kubelet.pods.values() if p.where == namespace and part in p.name]


def deployment(**job):
    small = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    return {
        "apiVersion": "lesto.io/v1alpha1",
        "kind": "LestoDeployment",
        "metadata": {"name": "count"},
        "spec": {
            "image": "lesto:0.1.0",
            "storage": {"persistentVolumeClaim": "count-storage"},
            "lestoConfiguration": {
                "execution.checkpointing.interval": "500 ms",
                "taskmanager.numberOfTaskSlots": 4,
            },
            "jobManager": {"replicas": 1, "resources": small},
            "taskManager": {"replicas": 1, "resources": small},
            "job": {"pyFile": str(ROOT / "tests/kubernetes/job.py"), "parallelism": 1,
                    "args": ["--output", OUT], "upgradeMode": "savepoint", **job},
        },
    }  # fmt: skip


class Deployed:
    """The resource, as an author uses it."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace

    def apply(self, wanted):
        self.cluster.kubectl(
            "apply", "--server-side", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump(wanted)
        )

    def found(self):
        return self.cluster.kube.get("LestoDeployment", self.namespace, "count")

    def status(self):
        return self.found().get("status") or {}

    def until(self, timeout=180, **wanted):
        """Wait for fields of the status and its jobStatus."""

        def there():
            try:
                found = self.found()
            except KubernetesApiError:  # a busy machine
                return False
            status = found.get("status") or {}
            values = {**status, **(status.get("jobStatus") or {})}
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return wanted.items() <= values.items() and seen

        began = time.monotonic()
        try:
            self.cluster.until(there, timeout)
        except BaseException:
            print(yaml.safe_dump(self.status()))
            raise
        return time.monotonic() - began


def test_a_job_is_created_rescaled_saved_suspended_resumed_and_deleted(cluster, operator):
    namespace = operator
    deployed = Deployed(cluster, namespace)
    out = cluster.kubelet.dir / "claims/count-storage/out"
    took = {}

    deployed.apply(deployment())
    took["created"] = deployed.until(lifecycleState="STABLE", state="RUNNING", submission=1)
    cluster.until(lambda: out.exists() and published(out) > 100)
    first = deployed.status()["jobStatus"]["jobId"]

    deployed.apply(deployment(parallelism=3))
    took["rescaled"] = deployed.until(lifecycleState="STABLE", state="RUNNING", submission=2)
    info = deployed.status()["jobStatus"]["savepointInfo"]
    assert info["lastSavepoint"]["triggerType"] == "UPGRADE"
    assert deployed.status()["jobStatus"]["startedFrom"] == info["lastSavepoint"]["location"]
    before = check(out)
    cluster.until(lambda: published(out) > before + 100)

    # The operator is killed; what goes on is done by the next one.
    (pod,) = pods(cluster, namespace, "operator")
    deployed.apply(deployment(parallelism=3, savepointTriggerNonce=1))
    pod.kill()
    cluster.until(
        lambda: deployed.status()["jobStatus"]["savepointInfo"].get("triggerNonce") == 1, 120
    )
    manual = deployed.status()["jobStatus"]["savepointInfo"]["lastSavepoint"]
    assert (manual["triggerType"], manual["triggerNonce"]) == ("MANUAL", 1)

    suspended = deployment(parallelism=3, savepointTriggerNonce=1, state="suspended")
    deployed.apply(suspended)
    took["suspended"] = deployed.until(lifecycleState="SUSPENDED")
    cluster.until(lambda: not pods(cluster, namespace, "manager"), 90)
    kept = check(out)

    deployed.apply(deployment(parallelism=2, savepointTriggerNonce=1, upgradeMode="last-state"))
    took["resumed"] = deployed.until(lifecycleState="STABLE", state="RUNNING", submission=3)
    cluster.until(lambda: published(out) > kept + 100)

    # By the scale subresource: a TaskManager more, the job goes on.
    job = deployed.status()["jobStatus"]["jobId"]
    cluster.kubectl("scale", "lestodeployment/count", "--replicas=2", "-n", namespace)
    cluster.until(lambda: len(pods(cluster, namespace, "taskmanager")) == 2, 90)
    assert deployed.status()["jobStatus"]["jobId"] == job != first

    shown = cluster.kubectl("get", "lesto", "-n", namespace)
    assert "STABLE" in shown
    assert "RUNNING" in shown
    cluster.kubectl("delete", "lestodeployment", "count", "-n", namespace, "--timeout=90s")
    cluster.until(lambda: not pods(cluster, namespace, "manager"), 120)
    for kind in ("Deployment", "ConfigMap", "Lease"):
        names = {"Lease": "lesto-count", "ConfigMap": "count-config"}
        assert cluster.kube.get(kind, namespace, names.get(kind, "count-jobmanager")) is None
    check(out)
    print({name: round(seconds, 1) for name, seconds in took.items()})


def published(out):
    with contextlib.suppress(ValueError):  # a file is just being written
        return check(out)
    return 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"job": {"pyFile": "/a.py", "module": "b"}}, "pyFile or module, and not both"),
        ({"job": {}}, "pyFile or module, and not both"),
        ({"job": {"pyFile": "http://x/a.py"}}, "spec.job.pyFile"),
        ({"job": {"pyFile": "/a.py", "upgradeMode": "hope"}}, "Unsupported value"),
        ({"mode": "session"}, "mode session has none"),
        ({"jobManager": {"replicas": 0}}, "greater than or equal to 1"),
        ({"typo": 1}, "field not declared in schema"),
        ({"image": None}, "image"),
    ],
)
def test_the_api_server_refuses_what_is_wrong(cluster, namespace, definition, change, message):
    wanted = deployment()
    wanted["spec"].update(change)
    done = subprocess.run(
        ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "apply", "--server-side",
         "--validate=strict", "--dry-run=server", "-n", namespace, "-f", "-"],
        input=yaml.safe_dump(wanted), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert message in done.stderr


def test_the_operator_says_what_is_wrong_with_a_specification(cluster, operator):
    deployed = Deployed(cluster, operator)
    wanted = deployment()
    wanted["spec"]["lestoConfiguration"]["execution.checkpointing.intervall"] = "1 s"
    deployed.apply(wanted)
    cluster.until(lambda: "did you mean" in deployed.status().get("error", ""), 60)
    assert "execution.checkpointing.interval'" in deployed.status()["error"]


def test_a_program_that_submits_nothing_is_shown_with_its_last_words(cluster, operator):
    deployed = Deployed(cluster, operator)
    wanted = deployment()
    wanted["spec"]["job"]["args"] = ["--output", OUT, "--fail"]
    deployed.apply(wanted)
    deployed.until(lifecycleState="FAILED", timeout=240)
    assert "this program submits nothing" in deployed.status()["error"]
