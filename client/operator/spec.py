"""What a LestoDeployment asks for, read and checked. Pure.

The custom resource's schema has checked types and ranges; here is what a schema cannot say.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lesto.client.operator.errors import InvalidDeploymentError
from lesto.common.config import Configuration
from lesto.common.errors import LestoError

#: Time for a deployment to come up, in seconds, after which an upgrade counts as failed.
DEFAULT_READY_TIMEOUT_SECONDS = 300
#: Options that the operator sets itself.
OWNED_KEYS = frozenset(
    {
        "high-availability.cluster-id",
        "jobmanager.bind-host",
        "jobmanager.rpc.port",
        "rest.bind-address",
        "rest.port",
        "taskmanager.bind-host",
        "metrics.bind-host",
        "metrics.port",
        "pipeline.fixed-job-id",
        "security.token",
    }
)
_RETENTION = "execution.checkpointing.externalized-checkpoint-retention"


class UpgradeMode(enum.Enum):
    """How a job's state gets from one start to the next."""

    SAVEPOINT = "savepoint"
    LAST_STATE = "last-state"
    STATELESS = "stateless"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The program.

    Attributes:
        py_file: path in the image; empty: ``module``.
        running: whether it should run; else it is suspended.
        savepoint_nonce: another value than the last asks for a savepoint.
        redeploy_nonce: another value than the last starts anew from ``initial_savepoint``.
    """

    py_file: str = ""
    module: str = ""
    requirements: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Mapping[str, Any], ...] = ()
    parallelism: int = 1
    running: bool = True
    upgrade_mode: UpgradeMode = UpgradeMode.SAVEPOINT
    last_state_fallback: bool = True
    initial_savepoint: str = ""
    allow_non_restored: bool = False
    savepoint_nonce: int | None = None
    redeploy_nonce: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """JobManagers or TaskManagers."""

    replicas: int
    resources: Mapping[str, Any] = field(default_factory=dict)
    pod_template: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """A cluster and, in application mode, its job.

    Attributes:
        config: Lesto's options by key.
        job: None: a session cluster.
        raw: the resource's ``spec``, as it is.
    """

    image: str
    jobmanager: ProcessSpec
    taskmanager: ProcessSpec
    raw: Mapping[str, Any]
    config: Mapping[str, str] = field(default_factory=dict)
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[Mapping[str, Any], ...] = ()
    pod_template: Mapping[str, Any] = field(default_factory=dict)
    token_secret: str = ""
    claim: str = ""
    credentials_secret: str = ""
    job: JobSpec | None = None
    restart_nonce: int | None = None
    rollback: bool = False
    ready_timeout_seconds: int = DEFAULT_READY_TIMEOUT_SECONDS

    @property
    def highly_available(self) -> bool:
        """Whether JobManagers elect a leader."""
        return self.config.get("high-availability.type", "kubernetes").lower() == "kubernetes"


def parse_spec(raw: Mapping[str, Any]) -> DeploymentSpec:
    """Read a resource's ``spec``.

    Raises:
        InvalidDeploymentError: it contradicts itself; the message is for its author.
    """
    storage = raw.get("storage") or {}
    spec = DeploymentSpec(
        image=raw["image"],
        image_pull_policy=raw.get("imagePullPolicy", "IfNotPresent"),
        image_pull_secrets=tuple(raw.get("imagePullSecrets") or ()),
        config=_config(raw),
        pod_template=raw.get("podTemplate") or {},
        jobmanager=_process(raw.get("jobManager") or {}),
        taskmanager=_process(raw.get("taskManager") or {}),
        token_secret=(raw.get("auth") or {}).get("existingSecret", ""),
        claim=storage.get("persistentVolumeClaim", ""),
        credentials_secret=storage.get("credentialsSecret", ""),
        job=_job(raw["job"]) if raw.get("job") else None,
        restart_nonce=raw.get("restartNonce"),
        rollback=bool(raw.get("rollback", False)),
        ready_timeout_seconds=raw.get("readyTimeoutSeconds", DEFAULT_READY_TIMEOUT_SECONDS),
        raw=raw,
    )
    _check(spec, raw.get("mode"))
    return spec


def _process(raw: Mapping[str, Any]) -> ProcessSpec:
    return ProcessSpec(
        replicas=raw.get("replicas", 1),
        resources=raw.get("resources") or {},
        pod_template=raw.get("podTemplate") or {},
    )


def _job(raw: Mapping[str, Any]) -> JobSpec:
    return JobSpec(
        py_file=raw.get("pyFile", "").removeprefix("local://"),
        module=raw.get("module", ""),
        requirements=tuple(raw.get("requirements") or ()),
        args=tuple(raw.get("args") or ()),
        env=tuple(raw.get("env") or ()),
        parallelism=raw.get("parallelism", 1),
        running=raw.get("state", "running") == "running",
        upgrade_mode=UpgradeMode(raw.get("upgradeMode", "savepoint")),
        last_state_fallback=raw.get("lastStateFallback", True),
        initial_savepoint=raw.get("initialSavepointPath", ""),
        allow_non_restored=raw.get("allowNonRestoredState", False),
        savepoint_nonce=raw.get("savepointTriggerNonce"),
        redeploy_nonce=raw.get("savepointRedeployNonce"),
    )


def _config(raw: Mapping[str, Any]) -> dict[str, str]:
    given, alias = raw.get("lestoConfiguration") or {}, raw.get("flinkConfiguration") or {}
    both = sorted(set(given) & set(alias))
    if both:
        msg = f"lestoConfiguration and flinkConfiguration both set {', '.join(both)}"
        raise InvalidDeploymentError(msg, remedy="Keep lestoConfiguration.")
    config = {key: str(value) for key, value in {**alias, **given}.items()}
    for key, value in config.items():
        if key in OWNED_KEYS:
            msg = f"lestoConfiguration sets {key}, which the operator sets itself"
            raise InvalidDeploymentError(msg, remedy="Remove it.")
        try:
            Configuration().set(key, value)
        except LestoError as error:
            msg = f"lestoConfiguration: {error.message}"
            raise InvalidDeploymentError(msg, remedy=error.remedy) from None
    return config


def _check(spec: DeploymentSpec, mode: str | None) -> None:
    has_job = spec.job is not None
    if mode is not None and (mode == "application") is not has_job:
        msg = f"mode is {mode} and there is {'a' if has_job else 'no'} job"
        raise InvalidDeploymentError(msg, remedy="A session has no job, an application has one.")
    kinds = ("kubernetes", "none")
    if spec.config.get("high-availability.type", "kubernetes").lower() not in kinds:
        msg = "high-availability.type is neither kubernetes nor NONE"
        raise InvalidDeploymentError(msg, remedy="The operator finds the leader by its Lease.")
    if spec.config.get("security.ssl.rest.enabled", "false").lower() == "true":
        msg = "security.ssl.rest.enabled: the operator speaks plain HTTP with REST"
        raise InvalidDeploymentError(msg, remedy="Encrypt at an ingress or in a service mesh.")
    if not spec.highly_available and spec.jobmanager.replicas > 1:
        msg = "jobManager.replicas is more than 1 without high availability: two would lead"
        raise InvalidDeploymentError(msg, remedy="Set one replica.")
    durable = spec.claim or spec.config.get("execution.checkpointing.dir")
    if spec.highly_available and not durable:
        msg = "high availability needs storage that all JobManagers reach"
        raise InvalidDeploymentError(
            msg,
            remedy="Set storage.persistentVolumeClaim, or execution.checkpointing.dir to a URI, or "
            "high-availability.type to NONE.",
        )
    if spec.job is not None:
        _check_job(spec, spec.job, durable=bool(durable))


def _check_job(spec: DeploymentSpec, job: JobSpec, *, durable: bool) -> None:
    if bool(job.py_file) is bool(job.module):
        msg = "job needs pyFile or module, and not both"
        raise InvalidDeploymentError(msg, remedy="Give one of them.")
    if job.py_file and not job.py_file.startswith("/"):
        msg = f"job.pyFile '{job.py_file}' is no absolute path in the image"
        raise InvalidDeploymentError(
            msg, remedy="Put the file into the image, or mount it by podTemplate."
        )
    if job.upgrade_mode is not UpgradeMode.STATELESS and not durable:
        msg = f"job.upgradeMode {job.upgrade_mode.value} needs durable storage"
        raise InvalidDeploymentError(
            msg, remedy="Set storage.persistentVolumeClaim or execution.checkpointing.dir."
        )
    retention = spec.config.get(_RETENTION, "RETAIN_ON_CANCELLATION")
    kept = retention.upper() == "RETAIN_ON_CANCELLATION"
    if job.upgrade_mode is UpgradeMode.LAST_STATE and not kept:
        msg = f"job.upgradeMode last-state needs checkpoints that outlive the job, not {retention}"
        raise InvalidDeploymentError(msg, remedy=f"Leave {_RETENTION} out: by default they stay.")


def digest(raw: Mapping[str, Any]) -> str:
    """Tells specifications apart."""
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Change(enum.Enum):
    """What the difference between two specifications asks for."""

    NONE = "none"
    APPLY = "apply"  # objects change, jobs go on
    UPGRADE = "upgrade"  # the job is stopped and started again


#: Parts of a job that are asked for once, not run by.
_NONCES = frozenset({"savepointTriggerNonce"})
#: Parts that say how to change, not what runs.
_POLICIES = frozenset({"upgradeMode", "lastStateFallback", "initialSavepointPath"})


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    """What has to be done to get from one to the other."""
    if old == new:
        return Change.NONE
    if _what_runs(old) != _what_runs(new):
        return Change.UPGRADE
    replicas = [(side.get("taskManager") or {}).get("replicas", 1) for side in (old, new)]
    return Change.APPLY if replicas[0] != replicas[1] else Change.NONE


def _what_runs(raw: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in raw.items() if k not in {"rollback", "readyTimeoutSeconds", "mode"}}
    job = kept.get("job")
    if job:
        kept["job"] = {k: v for k, v in job.items() if k not in _NONCES | _POLICIES}
        kept["job"].setdefault("state", "running")
    taskmanager = kept.get("taskManager") or {}
    kept["taskManager"] = {k: v for k, v in taskmanager.items() if k != "replicas"}
    return kept


def redeploys(old: Mapping[str, Any] | None, job: JobSpec) -> bool:
    """Whether the job is to be started anew from a snapshot of its author's."""
    before = ((old or {}).get("job") or {}).get("savepointRedeployNonce")
    return job.redeploy_nonce is not None and job.redeploy_nonce != before


def objects_digest(raw: Mapping[str, Any], *, running: bool) -> str:
    """Tells the objects of two specifications apart."""
    kept = {k: v for k, v in raw.items() if k not in {"rollback", "readyTimeoutSeconds", "job"}}
    job = raw.get("job") or {}
    kept["requirements"] = job.get("requirements") or []
    return f"{digest(kept)}-{'running' if running else 'stopped'}"
