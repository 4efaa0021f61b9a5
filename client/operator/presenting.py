"""What the status of a LestoDeployment shows to people and tools. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lesto.client.operator.model import Facts, JobState, Phase, Status, job_id

Json = dict[str, Any]
#: Longest error that is shown.
ERROR_CHARACTERS_MAX = 2_000


def status_of(raw: Mapping[str, Any]) -> Status:
    """What the last turn has remembered in a resource's ``status``.

    Raises:
        DeploymentStatusError: it is none of ours.
    """
    text = (raw.get("reconciliationStatus") or {}).get("memory")
    return Status.from_json(text) if text else Status()


def present(status: Status, facts: Facts, name: str, before: Mapping[str, Any]) -> Json:
    """The resource's ``status``.

    Args:
        name: of the resource.
        before: the status as it is, whose unchanged conditions keep their times.
    """
    reconciled, stable = status.reconciled, status.stable
    shown: Json = {
        "observedGeneration": status.observed_generation,
        "lifecycleState": lifecycle(status, facts),
        "error": status.error[:ERROR_CHARACTERS_MAX],
        "jobManagerDeploymentStatus": _deployment(status, facts),
        "jobStatus": _job(status, facts),
        "taskManager": {
            "replicas": _taskmanagers(status),
            "labelSelector": f"app.kubernetes.io/component=taskmanager,lesto.io/deployment={name}",
        },
        "reconciliationStatus": {
            "state": _reconciliation(status),
            "lastReconciledSpec": json.dumps(reconciled, sort_keys=True) if reconciled else "",
            "lastStableSpec": json.dumps(stable, sort_keys=True) if stable else "",
            "memory": status.to_json(),
        },
    }
    shown["conditions"] = _conditions(status, facts, before)
    return shown


def lifecycle(status: Status, facts: Facts) -> str:
    """Flink's word for where the deployment stands."""
    match status.phase:
        case Phase.NEW:
            return "CREATED"
        case Phase.STARTING:
            if status.rolling_back:
                return "ROLLING_BACK"
            if status.stable is not None:
                return "UPGRADING"
            return "DEPLOYED" if facts.objects else "CREATED"
        case Phase.RUNNING:
            if status.rejected:
                return "ROLLED_BACK"
            return "STABLE" if status.stable is not None else "DEPLOYED"
        case Phase.STOPPING:
            return "ROLLING_BACK" if status.rolling_back else "UPGRADING"
        case Phase.SUSPENDED:
            return "SUSPENDED"
        case _:
            return "FAILED"


def _reconciliation(status: Status) -> str:
    if status.rolling_back:
        return "ROLLING_BACK"
    if status.rejected:
        return "ROLLED_BACK"
    return "UPGRADING" if status.phase in {Phase.STOPPING, Phase.STARTING} else "DEPLOYED"


def _deployment(status: Status, facts: Facts) -> str:
    if status.phase in {Phase.NEW, Phase.SUSPENDED} or not facts.objects:
        return "MISSING"
    return "READY" if facts.leading else "DEPLOYING"


def _taskmanagers(status: Status) -> int:
    if status.phase in {Phase.NEW, Phase.SUSPENDED} or status.reconciled is None:
        return 0
    replicas: int = (status.reconciled.get("taskManager") or {}).get("replicas", 1)
    return replicas


def _job(status: Status, facts: Facts) -> Json:
    if status.submission == 0:
        return {}
    savepoints = [
        {
            "location": item.location,
            "timestamp": _time(item.timestamp_ms),
            "triggerType": item.trigger.upper(),
            **({} if item.nonce is None else {"triggerNonce": item.nonce}),
        }
        for item in status.savepoints
    ]
    return {
        "jobId": job_id(facts.uid, status.submission),
        "submission": status.submission,
        "state": status.job_state or "RECONCILING",
        "startedFrom": status.restore,
        "lastCheckpoint": status.newest,
        "savepointInfo": {
            "triggerNonce": status.seen_nonce,
            "inProgress": status.manual_pending,
            "lastSavepoint": savepoints[0] if savepoints else None,
            "savepointHistory": savepoints,
        },
    }


def _conditions(status: Status, facts: Facts, before: Mapping[str, Any]) -> list[Json]:
    running = status.phase is Phase.RUNNING and (
        facts.job is None or facts.job.state is JobState.RUNNING
    )
    upgrading = status.phase in {Phase.STOPPING, Phase.STARTING}
    found = {
        "Running": (running and facts.leading, status.phase.value.capitalize(), status.error),
        "Reconciling": (upgrading, status.phase.value.capitalize(), ""),
        "Failed": (status.phase is Phase.FAILED, "Error" if status.error else "None", status.error),
    }
    old = {item.get("type"): item for item in before.get("conditions") or ()}
    now = _time(facts.now_ms)
    made = []
    for kind, (holds, reason, message) in found.items():
        value = "True" if holds else "False"
        same = kind in old and old[kind].get("status") == value
        made.append(
            {
                "type": kind,
                "status": value,
                "reason": reason,
                "message": message[:ERROR_CHARACTERS_MAX],
                "observedGeneration": status.observed_generation,
                "lastTransitionTime": old[kind]["lastTransitionTime"] if same else now,
            }
        )
    return made


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the status has to be written."""
    return any(before.get(key) != after[key] for key in after)


def _time(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
