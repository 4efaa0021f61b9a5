"""The operator's process: kopf watches LestoDeployments and runs a loop of turns for each."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import kopf

from lesto.client.operator.credentials import ACCOUNT, account_token, pod_server
from lesto.client.operator.kube import KubeApi
from lesto.client.operator.manifests import GROUP, PLURAL, VERSION
from lesto.client.operator.model import Event
from lesto.client.operator.turns import Reconciler
from lesto.common.errors import LestoError
from lesto.common.logs import get_logger

logger = get_logger("lesto.operator")

FINALIZER = f"{GROUP}/operator"
#: Between two looks whether the resource has changed while a turn is waited for.
WAKE_SECONDS = 0.25
#: Time that a job gets to be cancelled when its deployment is deleted.
DELETE_SECONDS_MAX = 60.0
DELETE_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """Of the process.

    Attributes:
        namespaces: watched ones; none: all of them.
        liveness: URL to answer probes at; empty: none.
    """

    namespaces: tuple[str, ...] = ()
    liveness: str = ""


class Shell:
    """Binds kopf's events to turns."""

    def __init__(self, kube: KubeApi) -> None:
        self._reconciler = Reconciler.of(kube)
        self._generations: dict[str, int] = {}

    def registry(self) -> kopf.OperatorRegistry:
        """The handlers."""
        registry = kopf.OperatorRegistry()
        which = (GROUP, VERSION, PLURAL)
        kopf.on.startup(registry=registry)(_configure)
        kopf.on.login(registry=registry)(_log_in)
        kopf.on.event(*which, registry=registry)(self._seen)
        kopf.daemon(*which, registry=registry, cancellation_timeout=5.0)(self._run)
        kopf.on.delete(*which, registry=registry)(self._delete)
        return registry

    async def _seen(self, uid: str, meta: Any, **_: Any) -> None:
        self._generations[uid] = meta.get("generation", 0)

    async def _run(
        self, uid: str, name: str, namespace: str | None, body: Any, stopped: Any, **_: Any
    ) -> None:
        """One deployment, until it is deleted or the operator ends."""
        loop = asyncio.get_running_loop()
        assert namespace is not None, "the resource is namespaced"

        def tell(event: Event) -> None:
            kind = "Warning" if event.warning else "Normal"
            loop.call_soon_threadsafe(
                lambda: kopf.event(body, type=kind, reason=event.reason, message=event.message)
            )

        while not stopped:
            generation = self._generations.get(uid, 0)
            wait = await asyncio.to_thread(self._reconciler.turn, namespace, name, uid, tell)
            end = time.monotonic() + wait
            while not stopped and time.monotonic() < end:
                if self._generations.get(uid, 0) != generation:
                    break
                await stopped.wait(min(WAKE_SECONDS, wait))

    async def _delete(self, uid: str, body: Any, started: Any, retry: int, **_: Any) -> None:
        """Before a deployment's objects go."""
        self._generations.pop(uid, None)
        found = _plain(body)
        try:
            done = await asyncio.to_thread(self._reconciler.delete, found)
        except LestoError as error:
            logger.warning("operator.delete_failed", deployment=found["metadata"]["name"],
                           error=str(error))  # fmt: skip
            done = False
        if not done and retry < DELETE_SECONDS_MAX / DELETE_PAUSE_SECONDS:
            msg = "the job is being cancelled"
            raise kopf.TemporaryError(msg, delay=DELETE_PAUSE_SECONDS)


def _plain(body: Any) -> dict[str, Any]:
    found: dict[str, Any] = _copied(body)
    return found


def _copied(value: Any) -> Any:
    if hasattr(value, "items"):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(item) for item in value]
    return value


def _configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    settings.scanning.disabled = True  # needs rights over all of the cluster
    settings.posting.level = 30  # its own remarks: warnings; ours go by kopf.event
    settings.batching.error_delays = [1, 2, 4, 8, 16, 32]


def _log_in(**known: Any) -> kopf.ConnectionInfo | None:
    """As ``credentials.connect`` does: of the pod unless a file is named."""
    server = "" if "KUBECONFIG" in os.environ else pod_server()
    if not server:
        return kopf.login_with_kubeconfig(**known)
    soon = datetime.now(UTC) + timedelta(minutes=5)  # Kubernetes changes the token
    return kopf.ConnectionInfo(
        server=server, ca_path=str(ACCOUNT / "ca.crt"), token=account_token(), expiration=soon
    )


async def run(kube: KubeApi, settings: OperatorSettings, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set."""
    for chatty in ("aiohttp.access", "kopf.objects"):  # each probe, each event of the API
        logging.getLogger(chatty).setLevel(logging.WARNING)
    shell = Shell(kube)
    namespaces: Sequence[str] = settings.namespaces
    await kopf.operator(
        registry=shell.registry(),
        standalone=True,
        identity=cast(Any, "lesto-operator"),  # by default it asks who user 9999 is: nobody knows
        namespaces=namespaces,
        clusterwide=not namespaces,
        liveness_endpoint=settings.liveness or None,
        stop_flag=stop,
    )
