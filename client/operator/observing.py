"""Looks at a deployment's objects and asks its cluster: one turn's facts."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any

from lesto.client.operator.cluster import ClusterRest
from lesto.client.operator.http import JsonHttp
from lesto.client.operator.kube import Json, KubeApi
from lesto.client.operator.manifests import (
    OBJECTS_ANNOTATION,
    REST_PORT,
    TOKEN_KEY,
    Owner,
    selector,
)
from lesto.client.operator.model import Facts, JobFacts, Phase, Status, job_id, trigger_id
from lesto.client.operator.spec import UpgradeMode

#: On the Lease: the RPC address of who holds it.
LEADER_ANNOTATION = "lesto.io/address"
REST_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Observer:
    """Reads facts. Blocking.

    Attributes:
        rest_port: of JobManagers.
    """

    kube: KubeApi
    rest_port: int = REST_PORT

    def facts(self, found: Json, status: Status, problem: str = "") -> Facts:
        """What is to be known about a deployment.

        Args:
            found: the resource.
            status: what is remembered of it.
            problem: what went wrong in the last turn.

        Raises:
            KubernetesApiError: the API refuses or does not answer.
            ClusterRestError: REST refuses.
        """
        owner = owner_of(found)
        jobmanager = self.kube.get("Deployment", owner.namespace, owner.jobmanager)
        taskmanager = self.kube.get("Deployment", owner.namespace, f"{owner.name}-taskmanager")
        # Before the job: a submitter that is gone now submits nothing behind what the cluster says.
        submitter, cause = self._submitter(owner, status)
        cluster = self.cluster(found, owner) if jobmanager is not None else None
        job: JobFacts | None = None
        trigger = None
        if cluster is not None and status.submission:
            current = job_id(owner.uid, status.submission)
            if _asks_for_savepoint(status):
                trigger = cluster.trigger(current, trigger_id(owner.uid, status.trigger))
            # Behind the trigger: a stop that is complete has ended the job.
            job = cluster.job(current)
        return Facts(
            uid=owner.uid,
            generation=found["metadata"]["generation"],
            now_ms=time.time_ns() // 1_000_000,
            objects=_objects(jobmanager),
            ready=_is_ready(jobmanager) and _is_ready(taskmanager),
            leading=cluster is not None,
            job=job,
            submitter=submitter,
            submitter_cause=cause,
            trigger=trigger,
            problem=problem,
        )

    def cluster(self, found: Json, owner: Owner) -> ClusterRest | None:
        """REST of the leading JobManager; None: none answers.

        Raises:
            KubernetesApiError: the API refuses or does not answer.
        """
        pods = self.kube.list("Pod", owner.namespace, selector(owner, "jobmanager"))
        addresses = {pod["status"].get("podIP", "") for pod in pods if _runs(pod)} - {""}
        lease = self.kube.get("Lease", owner.namespace, owner.lease)
        if lease is not None:
            marks = lease["metadata"].get("annotations") or {}
            held = (lease.get("spec") or {}).get("holderIdentity")
            leader = marks.get(LEADER_ANNOTATION, "").rpartition(":")[0]
            addresses = {leader} if held and leader in addresses else set()
        if len(addresses) != 1:
            return None
        token = self._token(found, owner)
        (address,) = addresses
        http = JsonHttp(
            f"http://{address}:{self.rest_port}", token, timeout_seconds=REST_TIMEOUT_SECONDS
        )
        cluster = ClusterRest(http)
        return cluster if cluster.answers() else None

    def _token(self, found: Json, owner: Owner) -> str:
        name = (found["spec"].get("auth") or {}).get("existingSecret") or owner.token_secret
        secret = self.kube.get("Secret", owner.namespace, name)
        data = ((secret or {}).get("data") or {}).get(TOKEN_KEY, "")
        return base64.b64decode(data).decode()

    def _submitter(self, owner: Owner, status: Status) -> tuple[str, str]:
        """State of the present start's submitter, and why it failed."""
        name = f"{owner.name}-submit-{status.submission}"
        job = self.kube.get("Job", owner.namespace, name)
        if job is None:
            return "absent", ""
        if job["metadata"].get("deletionTimestamp"):
            return "active", ""
        for condition in (job.get("status") or {}).get("conditions") or ():
            if condition["status"] == "True" and condition["type"] == "Complete":
                return "succeeded", ""
            if condition["status"] == "True" and condition["type"] == "Failed":
                return "failed", self._last_words(owner) or str(condition.get("message", ""))
        return "active", ""

    def _last_words(self, owner: Owner) -> str:
        """What the submitter's containers have said last."""
        pods = self.kube.list("Pod", owner.namespace, selector(owner, "submitter"))
        words = ""
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
            status = pod["status"]
            for part in ("initContainerStatuses", "containerStatuses"):
                for container in status.get(part) or ():
                    ended = (container.get("state") or {}).get("terminated") or {}
                    words = str(ended.get("message") or words).strip()
        return words


def owner_of(found: Json) -> Owner:
    """The resource as the owner of objects."""
    meta = found["metadata"]
    return Owner(meta["name"], meta["namespace"], meta["uid"])


def _asks_for_savepoint(status: Status) -> bool:
    stopping = status.phase is Phase.STOPPING and status.stop is UpgradeMode.SAVEPOINT
    return stopping or status.manual_pending


def _objects(deployment: Json | None) -> str:
    if deployment is None:
        return ""
    return str((deployment["metadata"].get("annotations") or {}).get(OBJECTS_ANNOTATION, ""))


def _runs(pod: Json) -> bool:
    return pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


def _is_ready(deployment: Json | None) -> bool:
    """All pods are of the present form, and one at least is ready."""
    if deployment is None:
        return False
    status: dict[str, Any] = deployment.get("status") or {}
    wanted: int = deployment["spec"]["replicas"]
    present = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    alike = status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
    available: int = status.get("availableReplicas", 0)
    return present and alike and available >= min(1, wanted)
