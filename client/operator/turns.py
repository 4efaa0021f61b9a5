"""One turn of one deployment: look, decide, remember, act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lesto.client.operator.acting import Actor
from lesto.client.operator.decisions import BUSY_SECONDS, decide
from lesto.client.operator.kube import Json, KubeApi
from lesto.client.operator.manifests import KIND
from lesto.client.operator.model import Event, JobState, job_id
from lesto.client.operator.observing import Observer, owner_of
from lesto.client.operator.presenting import changed, present, status_of
from lesto.common.errors import LestoError
from lesto.common.logs import get_logger

logger = get_logger("lesto.operator")

Tell = Callable[[Event], None]


@dataclass(slots=True)
class Reconciler:
    """The turns of all deployments; each has one at a time.

    Attributes:
        problems: what went wrong in the last turn, by the resource's uid.
    """

    kube: KubeApi
    observer: Observer
    actor: Actor
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, kube: KubeApi) -> Reconciler:
        """Of a connection."""
        observer = Observer(kube)
        return cls(kube, observer, Actor(kube, observer))

    def turn(self, namespace: str, name: str, uid: str, tell: Tell) -> float:
        """One turn. Blocking.

        Returns:
            Seconds until the next one.
        """
        try:
            wait = self._turn(namespace, name, uid, tell)
        except LestoError as error:
            # Also shown in the resource's status, by the next turn.
            logger.warning(
                "operator.turn_failed", deployment=f"{namespace}/{name}", error=str(error)
            )
            self.problems[uid] = str(error)
            return BUSY_SECONDS
        self.problems.pop(uid, None)
        return wait

    def _turn(self, namespace: str, name: str, uid: str, tell: Tell) -> float:
        # Read anew: what kopf has seen may be older than the status we wrote last.
        found = self.kube.get(KIND, namespace, name)
        if found is None or found["metadata"]["uid"] != uid:
            return BUSY_SECONDS
        if found["metadata"].get("deletionTimestamp"):
            return BUSY_SECONDS
        before = found.get("status") or {}
        status = status_of(before)
        problem = self.problems.get(uid, "")
        facts = self.observer.facts(found, status, problem)
        decision = decide(found["spec"], status, facts)
        after = present(decision.status, facts, name, before)
        if changed(before, after) and not self.kube.replace_status(found, {**before, **after}):
            return 0.0  # somebody was quicker: look again, before anything is done
        for event in decision.events:
            logger.info(
                "operator.event",
                deployment=f"{namespace}/{name}",
                reason=event.reason,
                message=event.message,
            )
            tell(event)
        for action in decision.actions:
            self.actor.act(found, action)
        return decision.wait_seconds

    def delete(self, found: Json) -> bool:
        """Let go of a deployment that is being deleted; whether it is done.

        Its objects go with it. Its job is cancelled before, so that what it was about to publish is
        settled; a cluster that does not answer runs nothing that could be.

        Raises:
            LestoError: the cluster refuses.
        """
        owner = owner_of(found)
        status = status_of(found.get("status") or {})
        facts = self.observer.facts(found, status)
        if facts.submitter == "active":
            self.kube.delete("Job", owner.namespace, f"{owner.name}-submit-{status.submission}")
            return False
        if facts.job is None or facts.job.state is JobState.UNKNOWN or facts.job.state.ended:
            return True
        cluster = self.observer.cluster(found, owner)
        if cluster is not None:
            cluster.cancel(job_id(owner.uid, status.submission))
        return False
