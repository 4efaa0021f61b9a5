"""The lease as a Kubernetes Lease object (coordination.k8s.io/v1), by plain REST.

Writes are merge patches conditional on ``metadata.resourceVersion``: the API server answers 409 to
who has not seen the newest. What others have put on the object (owner, labels) stays. ``renewTime``
is written for people and for kubectl; it is never compared with a clock here, as clocks of machines
differ.
"""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lesto.common import options
from lesto.common.config import Configuration
from lesto.state.errors import LeaseServiceError
from lesto.state.leases.http_json import JsonService
from lesto.state.leases.lease import Candidate, Lease

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ADDRESS = "lesto.io/address"
_PROCESS = "lesto.io/process"


class KubernetesLeaseStore:
    """The Lease ``lesto-<cluster id>`` of a namespace.

    Its service account needs the verbs get and patch on this Lease, and create on ``leases`` unless
    the object is made beforehand, as the Helm chart does.

    Args:
        config: ``high-availability.kubernetes.*``, ``kubernetes.namespace``,
            ``high-availability.cluster-id``.

    Raises:
        LeaseServiceError: neither the configuration nor the pod says where the API is.
    """

    def __init__(self, config: Configuration) -> None:
        url = config.get(options.HA_KUBERNETES_API)
        host = os.environ.get("KUBERNETES_SERVICE_HOST")
        if not url and host:
            named = f"[{host}]" if ":" in host else host
            url = f"https://{named}:{os.environ.get('KUBERNETES_SERVICE_PORT', '443')}"
        if not url:
            msg = "high-availability.type is kubernetes, and this process runs in no pod"
            raise LeaseServiceError(
                msg, remedy="set high-availability.kubernetes.api-server, or run it in a pod"
            )
        duration = config.get(options.HA_LEASE_DURATION).total_seconds()
        ca = _ACCOUNT / "ca.crt"
        self._service = JsonService(url, duration / 3, str(ca) if ca.exists() else None)
        self._duration = max(1, math.ceil(duration))
        self._name = f"lesto-{config.get(options.HA_CLUSTER_ID).strip('/')}".lower()
        namespace = config.get(options.HA_KUBERNETES_NAMESPACE) or _own_namespace()
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    def read(self) -> Lease | None:
        """The Lease object."""
        status, answer = self._call("GET", f"{self._path}/{self._name}")
        return _lease(answer) if status == 200 else None

    def acquire(self, seen: Lease | None, candidate: Candidate) -> Lease | None:
        """Create the object, or change it if it is as it was seen."""
        now = _now()
        spec = {
            "holderIdentity": candidate.holder,
            "leaseDurationSeconds": self._duration,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": seen.term if seen is not None else 0,
        }
        marks = {_ADDRESS: candidate.address, _PROCESS: candidate.process}
        if seen is None:
            return self._write("POST", self._path, self._object(spec, marks, ""))
        return self._patch(spec, marks, seen.version)

    def renew(self, lease: Lease) -> Lease | None:
        """Change the object if it is as this holder left it."""
        return self._patch(self._spec(lease, lease.holder), _marks(lease), lease.version, lease)

    def release(self, lease: Lease) -> None:
        """Take the holder's name off, as client-go does."""
        self._patch(self._spec(lease, ""), _marks(lease), lease.version)

    def close(self) -> None:
        """Nothing is open."""

    def _spec(self, lease: Lease, holder: str) -> dict[str, Any]:
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": self._duration,
            "renewTime": _now(),
            "leaseTransitions": lease.term - 1,
        }

    def _object(self, spec: dict[str, Any], marks: dict[str, str], version: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": self._name, "annotations": marks}
        if version:
            metadata["resourceVersion"] = version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    def _patch(
        self,
        spec: dict[str, Any],
        marks: dict[str, str],
        version: str,
        own: Lease | None = None,
    ) -> Lease | None:
        path = f"{self._path}/{self._name}"
        written = self._write("PATCH", path, self._object(spec, marks, version))
        if written is not None or own is None:
            return written
        # The answer to an earlier renewal may have been lost: then the object is ours, one step on.
        found = self.read()
        mine = found is not None and (found.term, found.holder) == (own.term, own.holder)
        return found if mine else None

    def _write(self, method: str, path: str, body: dict[str, Any]) -> Lease | None:
        status, answer = self._call(method, path, body)
        return None if status in {404, 409} else _lease(answer)

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        token = _ACCOUNT / "token"
        if token.exists():  # read each time: Kubernetes changes it
            headers["Authorization"] = f"Bearer {token.read_text(encoding='ascii').strip()}"
        status, answer = self._service.call(method, path, body, headers)
        if status in {200, 201, 404, 409}:
            return status, answer
        why = answer.get("message", answer) if isinstance(answer, dict) else answer
        msg = f"Kubernetes answered {status} to {method} {path}: {str(why)[:300]}"
        raise LeaseServiceError(
            msg, remedy="give the service account get, create and patch on leases"
        )


def _lease(found: dict[str, Any]) -> Lease:
    try:
        spec, metadata = found.get("spec") or {}, found["metadata"]
        marks = metadata.get("annotations") or {}
        holder = spec.get("holderIdentity") or ""
        version = str(metadata["resourceVersion"])
        return Lease(
            int(spec.get("leaseTransitions") or 0) + 1,
            holder,
            str(marks.get(_ADDRESS, "")),
            version,
            released=not holder,
            process=str(marks.get(_PROCESS, "")),
            version=version,
        )
    except (KeyError, ValueError, TypeError) as error:
        msg = f"Kubernetes gave a Lease that is none: {error!r}"
        raise LeaseServiceError(msg, remedy="look at it with kubectl get lease -o yaml") from error


def _marks(lease: Lease) -> dict[str, str]:
    return {_ADDRESS: lease.address, _PROCESS: lease.process}


def _own_namespace() -> str:
    try:
        return (_ACCOUNT / "namespace").read_text(encoding="ascii").strip()
    except OSError:
        return "default"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
