"""The charts, rendered: what they promise, what they refuse, what is kept as plain manifests."""

import json
import re
import subprocess

import jsonschema
import pytest
import yaml

from lesto.client.operator.manifests import Owner, cluster_objects, submitter
from lesto.client.operator.spec import parse_spec
from lesto.common.config import Configuration
from tests.kubernetes.conftest import ROOT, helm

CHARTS = ROOT / "deploy/helm"
SETS = {
    "default": {},
    "session without high availability": {
        "highAvailability": {"enabled": False},
        "storage": {"volume": {"enabled": False}},
    },
    "application": {
        "mode": "application",
        "job": {"pyFile": "/opt/job/job.py", "args": ["--day", "7"], "requirements": ["polars"],
                "fromSavepoint": "s3://b/sp", "allowNonRestoredState": True},
    },
    "module": {"mode": "application", "job": {"module": "jobs.daily", "revision": 3}},
    "everything": {
        "jobManager": {"replicas": 3},
        "taskManager": {"autoscaling": {"enabled": True}},
        "storage": {"volume": {"enabled": False}, "checkpoints": "s3://b/ck",
                    "savepoints": "s3://b/sp", "credentialsSecret": "aws"},
        "highAvailability": {"storageDir": "s3://b/ha"},
        "tls": {"rest": {"existingSecret": "rest"}, "internal": {"existingSecret": "internal"}},
        "ingress": {"enabled": True},
        "networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
                          "clients": [{"namespaceSelector": {}}]},
        "commonLabels": {"team": "streams"},
        "config": {"execution.checkpointing.interval": "10 s"},
    },
}  # fmt: skip


def template(values, *, chart="lesto", name="mine", check=True, more=()):
    done = subprocess.run(
        [helm(), "template", name, CHARTS / chart, "-n", "space", "-f", "-", *more],
        input=yaml.safe_dump(values), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if not check:
        return done
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def one(objects, kind, part=""):
    (found,) = [o for o in objects if o["kind"] == kind and part in o["metadata"]["name"]]
    return found


def pods(objects):
    """(what it is of, pod spec) of everything that has pods."""
    for found in objects:
        if found["kind"] == "Pod":
            yield found["metadata"]["name"], found["spec"]
        elif found["kind"] in {"Deployment", "Job"}:
            yield found["metadata"]["name"], found["spec"]["template"]["spec"]


@pytest.fixture(scope="module", params=SETS)
def rendered(request):
    return template(SETS[request.param])


@pytest.mark.parametrize("chart", ["lesto", "lesto-operator"])
def test_helm_finds_nothing_wrong(chart):
    done = subprocess.run(
        [helm(), "lint", "--strict", CHARTS / chart], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_operator_s_pod_is_too():
    check_pods(template({}, chart="lesto-operator"), least=1)


def test_every_pod_is_restricted_and_bounded(rendered):
    check_pods(rendered, least=3)


def check_pods(objects, least):
    found = list(pods(objects))
    assert len(found) >= least
    for name, pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= container["resources"].keys(), (name, container)
            assert {"mountPath": "/tmp", "name": "scratch"} in container["volumeMounts"]


def test_only_what_needs_the_api_has_a_token(rendered):
    for name, pod in pods(rendered):
        elects = "Lease" in {o["kind"] for o in rendered}
        wanted = "-jobmanager" in name and elects
        assert pod["automountServiceAccountToken"] is wanted, name


def test_the_configuration_is_one_that_lesto_reads(rendered):
    text = one(rendered, "ConfigMap")["data"]["config.yaml"]
    config = Configuration.from_dict({k: str(v) for k, v in yaml.safe_load(text).items()})
    assert not config.contains("security.token")


def test_the_role_is_one_lease():
    objects = template({})
    role, lease = one(objects, "Role"), one(objects, "Lease")["metadata"]["name"]
    assert role["rules"] == [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [lease],
         "verbs": ["get", "patch"]}
    ]  # fmt: skip
    config = yaml.safe_load(one(objects, "ConfigMap")["data"]["config.yaml"])
    assert lease == f"lesto-{config['high-availability.cluster-id']}"


def test_a_submission_keeps_its_id_until_another_revision():
    def made(**job):
        values = {"mode": "application", "job": {"pyFile": "/j.py", **job}}
        job = one(template(values), "Job")
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        fixed = next(a for a in arguments if a.startswith("pipeline.fixed-job-id="))
        return job["metadata"]["name"], fixed.partition("=")[2]

    first, other, next_one = made(), made(args=["x"]), made(revision=2)
    assert re.fullmatch("[0-9a-f]{32}", first[1])
    assert (other[1], other[0] != first[0]) == (first[1], True)
    assert next_one[1] != first[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jobmanager": {}}, "additional properties 'jobmanager' not allowed"),
        ({"jobManager": {"replicas": 2}, "highAvailability": {"enabled": False}}, "would lead"),
        ({"storage": {"volume": {"enabled": False}}}, "storage that all JobManagers reach"),
        ({"mode": "application"}, "job.pyFile or job.module"),
        ({"mode": "application", "job": {"pyFile": "/a", "module": "b"}}, "not both"),
        ({"config": {"security.token": "x"}}, "does not belong into config"),
        ({"auth": {"token": "short"}}, "/auth/token"),
        ({"image": {"digest": "sha256:1"}}, "/image/digest"),
    ],
)
def test_what_cannot_work_is_refused(values, message):
    done = template(values, check=False)
    assert done.returncode != 0
    assert message in done.stderr


def test_every_value_is_described_and_checked():
    """values.yaml and its schema have the same keys."""
    values = yaml.safe_load((CHARTS / "lesto/values.yaml").read_text())
    schema = json.loads((CHARTS / "lesto/values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)

    def compare(value, described, path):
        known = described.get("properties")
        if known is None or not isinstance(value, dict):
            return
        assert set(known) - {"global"} == set(value) | ({"claims"} & set(known)), path
        for key, item in value.items():
            compare(item, known[key], f"{path}.{key}")

    compare(values, schema, "values")


def test_the_plain_manifests_are_what_the_charts_give(tmp_path):
    helm()
    subprocess.run([ROOT / "scripts/gen-kubernetes", tmp_path], check=True, timeout=60)
    for made in tmp_path.glob("*.yaml"):
        kept = (ROOT / "deploy/kubernetes" / made.name).read_text()
        assert kept == made.read_text(), f"{made.name}: run scripts/gen-kubernetes"


def test_the_operator_makes_the_objects_of_the_chart():
    """Two ways to the same pods: what differs is names, owners and what the values say."""
    raw = {
        "image": "lesto:0.1.0", "storage": {"persistentVolumeClaim": "claim"},
        "taskManager": {"replicas": 2},
        "job": {"pyFile": "/opt/job/job.py", "requirements": ["polars"]},
    }  # fmt: skip
    owner = Owner("mine", "space", "0" * 36)
    spec = parse_spec(raw)
    made = [*cluster_objects(owner, spec, running=True),
            submitter(owner, spec, submission=1, job_id="0" * 32, restore="")]  # fmt: skip
    chart = template(
        {
            "mode": "application", "fullnameOverride": "mine", "taskManager": {"slots": 1},
            "storage": {"volume": {"existingClaim": "claim"}},
            "job": {"pyFile": "/opt/job/job.py", "requirements": ["polars"]},
        }
    )  # fmt: skip
    for kind, part in (("Deployment", "jobmanager"), ("Deployment", "taskmanager")):
        ours, theirs = one(made, kind, part), one(chart, kind, part)
        assert ours["spec"]["strategy"] == theirs["spec"]["strategy"]
        assert same_pod(ours) == same_pod(theirs)
    kinds = {o["kind"] for o in made} ^ {o["kind"] for o in chart}
    assert kinds <= {"Secret", "Pod"}  # made at run time; helm's test
    assert one(made, "Role")["rules"][0]["verbs"] == one(chart, "Role")["rules"][0]["verbs"]


def same_pod(deployment):
    """A pod without what differs on purpose."""
    pod = json.loads(json.dumps(deployment["spec"]["template"]["spec"]))
    for container in [*pod["containers"], *pod.pop("initContainers", ())]:
        container.pop("resources")
        container["env"] = sorted(container.get("env") or (), key=lambda item: item["name"])
        container["volumeMounts"].sort(key=lambda item: item["name"])
    return pod
