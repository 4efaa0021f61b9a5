"""What the operator asks a cluster's REST server. Shapes are Flink's."""

from __future__ import annotations

from typing import Any

from lesto.client.operator.errors import ClusterRestError
from lesto.client.operator.http import Answer, JsonHttp
from lesto.client.operator.model import JobFacts, JobState, TriggerFacts

_ENDED = {state.value: state for state in JobState if state.ended}
#: Characters of a failure that are kept.
CAUSE_CHARACTERS_MAX = 500


class ClusterRest:
    """One JobManager's REST server. Blocking."""

    def __init__(self, http: JsonHttp) -> None:
        self._http = http

    def answers(self) -> bool:
        """Whether it does, and takes our token."""
        return self._http.call("GET", "/v1/overview").status == 200

    def job(self, job_id: str) -> JobFacts | None:
        """What it says of a job; None: it does not answer.

        Raises:
            ClusterRestError: it refuses.
        """
        answer = self._http.call("GET", f"/v1/jobs/{job_id}")
        if answer.status == 404:
            return JobFacts(JobState.UNKNOWN)
        if answer.status in {0, 502, 503, 504}:
            return None
        found = _checked(answer, "tell of the job")
        checkpoints = self._http.call("GET", f"/v1/jobs/{job_id}/checkpoints")
        if checkpoints.status != 200:
            return None
        path, is_savepoint = newest(checkpoints.body.get("latest") or {})
        state = job_state(found)
        cause = self._cause(job_id) if state is JobState.FAILED else ""
        return JobFacts(state, str(found["state"]), path, is_savepoint, cause)

    def _cause(self, job_id: str) -> str:
        answer = self._http.call("GET", f"/v1/jobs/{job_id}/exceptions?maxExceptions=1")
        if answer.status != 200:
            return "see the JobManager's log"
        entries = (answer.body.get("exceptionHistory") or {}).get("entries") or []
        text = answer.body.get("root-exception") or (
            entries[0].get("stacktrace", "") if entries else ""
        )
        return str(text or "see the JobManager's log")[:CAUSE_CHARACTERS_MAX]

    def trigger(self, job_id: str, trigger_id: str) -> TriggerFacts | None:
        """What became of a savepoint that was asked for; None: it does not answer.

        Raises:
            ClusterRestError: it refuses.
        """
        answer = self._http.call("GET", f"/v1/jobs/{job_id}/savepoints/{trigger_id}")
        if answer.status == 404:
            return TriggerFacts("unknown")
        if answer.status in {0, 502, 503, 504}:
            return None
        found = _checked(answer, "tell of the savepoint")
        if found["status"]["id"] != "COMPLETED":
            return TriggerFacts("pending")
        operation = found.get("operation") or {}
        cause = operation.get("failure-cause")
        if cause:
            return TriggerFacts("failed", cause=str(cause.get("stack-trace", cause)))
        return TriggerFacts("completed", location=str(operation["location"]))

    def savepoint(self, job_id: str, trigger_id: str) -> None:
        """Ask for a savepoint.

        Raises:
            ClusterRestError: it refuses or does not answer.
        """
        body = {"triggerId": trigger_id}
        _checked(self._http.call("POST", f"/v1/jobs/{job_id}/savepoints", body), "take a savepoint")

    def stop(self, job_id: str, trigger_id: str) -> None:
        """Stop with a savepoint.

        Raises:
            ClusterRestError: as above.
        """
        body = {"triggerId": trigger_id, "drain": False}
        _checked(self._http.call("POST", f"/v1/jobs/{job_id}/stop", body), "stop the job")

    def cancel(self, job_id: str) -> None:
        """Cancel.

        Raises:
            ClusterRestError: as above.
        """
        answer = self._http.call("PATCH", f"/v1/jobs/{job_id}?mode=cancel")
        if answer.status not in {404, 409}:  # it is gone, or has ended meanwhile
            _checked(answer, "cancel the job")


def job_state(details: dict[str, Any]) -> JobState:
    """Of GET /jobs/:id. RUNNING only if all tasks run: others take no savepoint."""
    state = details["state"]
    if state in _ENDED:
        return _ENDED[state]
    waiting = sum(
        count
        for vertex in details["vertices"]
        for name, count in vertex["tasks"].items()
        if name not in {"RUNNING", "FINISHED"}
    )
    return JobState.RUNNING if state == "RUNNING" and not waiting else JobState.CHANGING


def newest(latest: dict[str, Any]) -> tuple[str, bool]:
    """Path of the newest complete snapshot of a job, and whether it is its own savepoint.

    Args:
        latest: of GET /jobs/:id/checkpoints. What it was restored from counts when it has completed
            nothing since.
    """
    completed, restored = latest.get("completed") or {}, latest.get("restored") or {}
    own = completed.get("external_path") or ""
    if own and completed.get("id", 0) >= restored.get("id", 0):
        return str(own), bool(completed.get("is_savepoint"))
    return str(restored.get("external_path") or own), False


def _checked(answer: Answer, what: str) -> dict[str, Any]:
    if 200 <= answer.status < 300 and isinstance(answer.body, dict):
        return answer.body
    msg = f"REST answered {answer.status or 'nothing'} when asked to {what}: {answer.reason}"
    error = ClusterRestError(msg, remedy="Look at the JobManager's log.")
    error.status = answer.status
    raise error
