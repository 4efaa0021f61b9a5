"""Everything rendered, against a real API server: schemas, defaults, admission."""

import json
import subprocess

import pytest
import yaml

from tests.kubernetes.conftest import BIN, ROOT
from tests.kubernetes.test_charts import SETS, template

#: A control plane and real clusters, on whatever machine.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_api_server_takes_all_of_it(cluster, namespace, values):
    objects = template(values)
    for found in objects:
        found["metadata"]["namespace"] = namespace
        for subject in found.get("subjects", ()):
            subject["namespace"] = namespace
    answer = cluster.kubectl(
        "apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-",
        stdin=yaml.safe_dump_all(objects),
    )  # fmt: skip
    assert len(answer.splitlines()) == len(objects)
    # Pod security: a Deployment of forbidden pods would be taken, so pods are asked for themselves.
    for found in objects:
        if found["kind"] not in {"Deployment", "Job"}:
            continue
        inside = {**found["spec"]["template"]["spec"], "serviceAccountName": "default"}
        pod = {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": "probe", "namespace": namespace},
               "spec": inside}  # fmt: skip
        cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-",
                        stdin=yaml.safe_dump(pod))  # fmt: skip


def test_the_plain_manifests_are_taken(cluster):
    cluster.kubectl("create", "namespace", "lesto")
    for path in sorted((ROOT / "deploy/kubernetes").glob("*.yaml")):
        cluster.kubectl("apply", "--server-side", "--validate=strict", "--dry-run=server", "-f",
                        str(path))  # fmt: skip


def test_kubeconform_with_the_schemas_of_this_version(cluster, tmp_path):
    """The same by schema alone, as a pipeline without a cluster would."""
    if not (BIN / "kubeconform").exists():
        pytest.skip("kubeconform is missing: scripts/kube setup")
    schemas(cluster, tmp_path)
    rendered = [o for values in SETS.values() for o in template(values)]
    done = subprocess.run(
        [BIN / "kubeconform", "-strict", "-summary", "-output", "json", "-schema-location",
         f"{tmp_path}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", "-"],
        input=yaml.safe_dump_all(rendered), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    summary = json.loads(done.stdout)["summary"]
    assert (summary["valid"], summary["invalid"], summary["errors"], summary["skipped"]) == (
        len(rendered), 0, 0, 0,
    ), done.stdout  # fmt: skip


def schemas(cluster, folder):
    """The API server's own schemas, as kubeconform looks them up: closed objects, a file a kind."""
    document = cluster.http.call("GET", "/openapi/v2").body
    definitions = document["definitions"]
    for definition in definitions.values():
        if "properties" in definition:
            definition.setdefault("additionalProperties", False)
        if definition.get("format") == "int-or-string":
            definition.update(type=["integer", "string"])
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = f"{kind['group'].split('.')[0]}-" if kind["group"] else ""
            file = f"{kind['kind'].lower()}-{group}{kind['version']}.json"
            whole = {"$ref": f"#/definitions/{name}", "definitions": definitions}
            if kind["version"] in {"v1", "v2"}:
                (folder / file).write_text(json.dumps(whole))
