"""The few verbs of the Kubernetes API that the operator needs."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

from lesto.client.operator.errors import KubernetesApiError
from lesto.client.operator.http import Answer, JsonHttp

Json = dict[str, Any]
FIELD_MANAGER = "lesto-operator"

#: Where the objects of a kind are.
_PLACES = {
    "ConfigMap": ("api/v1", "configmaps"),
    "Secret": ("api/v1", "secrets"),
    "Service": ("api/v1", "services"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Pod": ("api/v1", "pods"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "Job": ("apis/batch/v1", "jobs"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "LestoDeployment": ("apis/lesto.io/v1alpha1", "lestodeployments"),
}


class KubeApi:
    """Blocking; for several threads."""

    def __init__(self, http: JsonHttp) -> None:
        self._http = http

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """An object; None: there is none.

        Raises:
            KubernetesApiError: the API refuses or does not answer.
        """
        answer = self._http.call("GET", _path(kind, namespace, name))
        return None if answer.status == 404 else _checked(answer, f"get {kind} {name}")

    def list(self, kind: str, namespace: str, selector: Mapping[str, str]) -> list[Json]:
        """The objects with these labels.

        Raises:
            KubernetesApiError: as above.
        """
        text = ",".join(f"{key}={value}" for key, value in selector.items())
        query = urllib.parse.urlencode({"labelSelector": text})
        answer = self._http.call("GET", f"{_path(kind, namespace)}?{query}")
        found: list[Json] = _checked(answer, f"list {kind}")["items"]
        return found

    def apply(self, wanted: Json) -> Json:
        """Make an object, or change the fields of it that are ours (server-side apply).

        Raises:
            KubernetesApiError: as above.
        """
        meta = wanted["metadata"]
        path = _path(wanted["kind"], meta["namespace"], meta["name"])
        query = f"fieldManager={FIELD_MANAGER}&force=true"
        answer = self._http.call("PATCH", f"{path}?{query}", wanted, "application/apply-patch+yaml")
        return _checked(answer, f"apply {wanted['kind']} {meta['name']}")

    def create(self, wanted: Json) -> bool:
        """Make an object unless there is one of the name; whether it is new.

        Raises:
            KubernetesApiError: as above.
        """
        path = _path(wanted["kind"], wanted["metadata"]["namespace"])
        answer = self._http.call("POST", f"{path}?fieldManager={FIELD_MANAGER}", wanted)
        if answer.status == 409:
            return False
        _checked(answer, f"create {wanted['kind']} {wanted['metadata']['name']}")
        return True

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Remove an object after what it owns; what is not there is no error.

        Raises:
            KubernetesApiError: as above.
        """
        body = {"propagationPolicy": "Foreground"}
        answer = self._http.call("DELETE", _path(kind, namespace, name), body)
        if answer.status != 404:
            _checked(answer, f"delete {kind} {name}")

    def replace_status(self, found: Json, status: Json) -> bool:
        """Write an object's status if the object is as it was found; whether it was.

        Raises:
            KubernetesApiError: as above.
        """
        meta = found["metadata"]
        path = f"{_path(found['kind'], meta['namespace'], meta['name'])}/status"
        answer = self._http.call("PUT", path, {**found, "status": status})
        if answer.status in {404, 409}:
            return False
        _checked(answer, f"write the status of {meta['name']}")
        return True


def _path(kind: str, namespace: str, name: str = "") -> str:
    root, plural = _PLACES[kind]
    path = f"/{root}/namespaces/{urllib.parse.quote(namespace, safe='')}/{plural}"
    return f"{path}/{urllib.parse.quote(name, safe='')}" if name else path


def _checked(answer: Answer, what: str) -> Json:
    if 200 <= answer.status < 300 and isinstance(answer.body, dict):
        return answer.body
    msg = f"the Kubernetes API answered {answer.status or 'nothing'} to {what}: {answer.reason}"
    error = KubernetesApiError(
        msg, remedy="Look at the operator's role, and whether the API server is reached."
    )
    error.status = answer.status
    raise error
