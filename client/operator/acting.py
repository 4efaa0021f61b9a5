"""Carries decisions out: each action may be carried out again."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import assert_never

from lesto.client.operator.errors import ClusterRestError
from lesto.client.operator.kube import Json, KubeApi
from lesto.client.operator.manifests import (
    TOKEN_KEY,
    Owner,
    cluster_objects,
    metadata,
    selector,
    submitter,
)
from lesto.client.operator.model import (
    Action,
    ApplyObjects,
    CancelJob,
    CreateSubmitter,
    DeleteSubmitters,
    StopJob,
    TriggerSavepoint,
)
from lesto.client.operator.observing import Observer, owner_of
from lesto.client.operator.spec import DeploymentSpec, parse_spec

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Actor:
    """Changes objects, and asks clusters to. Blocking."""

    kube: KubeApi
    observer: Observer

    def act(self, found: Json, action: Action) -> None:
        """Do it.

        Raises:
            KubernetesApiError: the API refuses or does not answer.
            ClusterRestError: the cluster does.
        """
        owner = owner_of(found)
        match action:
            case ApplyObjects():
                self._apply(owner, parse_spec(action.spec), running=action.running)
            case CreateSubmitter():
                wanted = submitter(
                    owner,
                    parse_spec(action.spec),
                    submission=action.submission,
                    job_id=action.job_id,
                    restore=action.restore,
                )
                self.kube.create(wanted)
            case DeleteSubmitters():
                for job in self.kube.list("Job", owner.namespace, selector(owner, "submitter")):
                    self.kube.delete("Job", owner.namespace, job["metadata"]["name"])
            case TriggerSavepoint() | StopJob() | CancelJob():
                self._ask(found, owner, action)
            case _:
                assert_never(action)

    def _ask(
        self, found: Json, owner: Owner, action: TriggerSavepoint | StopJob | CancelJob
    ) -> None:
        cluster = self.observer.cluster(found, owner)
        if cluster is None:
            msg = "no JobManager answers"
            raise ClusterRestError(msg, remedy="Look at its pods; the next turn tries again.")
        match action:
            case TriggerSavepoint():
                cluster.savepoint(action.job_id, action.trigger_id)
            case StopJob():
                cluster.stop(action.job_id, action.trigger_id)
            case CancelJob():
                cluster.cancel(action.job_id)

    def _apply(self, owner: Owner, spec: DeploymentSpec, *, running: bool) -> None:
        if not spec.token_secret:
            self._make_token(owner)
        for wanted in cluster_objects(owner, spec, running=running):
            self.kube.apply(wanted)

    def _make_token(self, owner: Owner) -> None:
        """The secret of the cluster's processes, once."""
        value = base64.b64encode(secrets.token_urlsafe(TOKEN_BYTES).encode()).decode()
        self.kube.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata(owner, owner.token_secret),
                "type": "Opaque",
                "data": {TOKEN_KEY: value},
            }
        )
