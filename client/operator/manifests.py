"""The Kubernetes objects of a LestoDeployment. Pure.

They are those of the Helm chart (``deploy/helm/lesto``), which a test compares; the operator makes
them itself so that it needs neither helm nor templates at run time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lesto.client.operator.pod_templates import merge_pod
from lesto.client.operator.spec import DeploymentSpec, ProcessSpec, digest, objects_digest

Json = dict[str, Any]

GROUP = "lesto.io"
VERSION = "v1alpha1"
KIND = "LestoDeployment"
PLURAL = "lestodeployments"
#: On the JobManager's Deployment: what all objects were made of.
OBJECTS_ANNOTATION = "lesto.io/objects"
#: On every object and pod: the LestoDeployment that it belongs to.
OWNER_LABEL = "lesto.io/deployment"
RPC_PORT = 6123
REST_PORT = 8081
METRICS_PORT = 9249
STORAGE = "/var/lib/lesto/storage"
PACKAGES = "/opt/packages"
USER = 9999
TOKEN_KEY = "token"
#: Tries and time of a submission.
SUBMIT_RETRIES = 3
SUBMIT_SECONDS_MAX = 1800

_DEFAULT_RESOURCES: Mapping[str, Json] = {
    "jobmanager": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    "taskmanager": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
    "submitter": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
}


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource that objects are made for."""

    name: str
    namespace: str
    uid: str

    @property
    def cluster_id(self) -> str:
        """Of high availability: a resource made anew under the name takes over nothing."""
        return f"{self.name}-{self.uid[:8]}"

    @property
    def lease(self) -> str:
        """Name of the Lease that says who leads."""
        return f"lesto-{self.cluster_id}".lower()

    @property
    def jobmanager(self) -> str:
        """Name of Deployment and Service."""
        return f"{self.name}-jobmanager"

    @property
    def token_secret(self) -> str:
        """Name of the Secret that the operator makes when none is given."""
        return f"{self.name}-token"


def lesto_config(owner: Owner, spec: DeploymentSpec) -> dict[str, str]:
    """config.yaml: what the operator knows, and over it what the resource says."""
    config = {
        "jobmanager.bind-host": "0.0.0.0",
        "jobmanager.rpc.port": str(RPC_PORT),
        "log.format": "json",
        "metrics.bind-host": "0.0.0.0",
        "metrics.port": str(METRICS_PORT),
        "rest.bind-address": "0.0.0.0",
        "rest.port": str(REST_PORT),
        "taskmanager.bind-host": "0.0.0.0",
        "high-availability.type": "kubernetes" if spec.highly_available else "NONE",
    }
    if spec.highly_available:
        config["high-availability.cluster-id"] = owner.cluster_id
    if spec.claim:
        config["execution.checkpointing.dir"] = f"{STORAGE}/checkpoints"
        config["execution.checkpointing.savepoint-dir"] = f"{STORAGE}/savepoints"
        if spec.highly_available:
            config["high-availability.storageDir"] = f"{STORAGE}/ha"
    return {**config, **spec.config}


def cluster_objects(owner: Owner, spec: DeploymentSpec, *, running: bool) -> list[Json]:
    """Everything of the cluster, the JobManager's Deployment last: its mark is true of all."""
    made = [_config_map(owner, spec), _service_account(owner), *_policies(owner)]
    if spec.highly_available:
        made += _lease_and_role(owner)
    made += [_service(owner), _taskmanager(owner, spec, running=running)]
    return [*made, _jobmanager(owner, spec, running=running)]


def metadata(owner: Owner, name: str, component: str = "") -> Json:
    """Name, labels and owner of an object."""
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": labels(owner, component),
        "ownerReferences": [
            {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def labels(owner: Owner, component: str = "") -> dict[str, str]:
    """Of an object or pod."""
    made = {
        "app.kubernetes.io/name": "lesto",
        "app.kubernetes.io/instance": owner.name,
        "app.kubernetes.io/managed-by": "lesto-operator",
        OWNER_LABEL: owner.name,
    }
    return {**made, "app.kubernetes.io/component": component} if component else made


def selector(owner: Owner, component: str = "") -> dict[str, str]:
    """What selects pods."""
    made = {OWNER_LABEL: owner.name}
    return {**made, "app.kubernetes.io/component": component} if component else made


def _config_map(owner: Owner, spec: DeploymentSpec) -> Json:
    config = lesto_config(owner, spec)
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in sorted(config.items()))
    data = {"config.yaml": text}
    if spec.job is not None and spec.job.requirements:
        data["requirements.txt"] = "".join(f"{line}\n" for line in spec.job.requirements)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(owner, f"{owner.name}-config"),
        "data": data,
    }


def _service_account(owner: Owner) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(owner, owner.name),
        "automountServiceAccountToken": False,
    }


def _lease_and_role(owner: Owner) -> list[Json]:
    """JobManagers may look at their Lease and change it, and nothing else."""
    name, api = f"{owner.name}-leader", "rbac.authorization.k8s.io"
    rule = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [owner.lease],
        "verbs": ["get", "patch"],
    }
    account = {"kind": "ServiceAccount", "name": owner.name, "namespace": owner.namespace}
    return [
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata(owner, owner.lease),
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "Role",
            "metadata": metadata(owner, name),
            "rules": [rule],
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata(owner, name),
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": [account],
        },
    ]


def _policies(owner: Owner) -> list[Json]:
    """Who may reach the pods, and how many of them may be taken away at a time."""
    own = {"podSelector": {"matchLabels": selector(owner)}}
    made: list[Json] = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(owner, owner.name),
            "spec": {
                "podSelector": {"matchLabels": selector(owner)},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {"from": [own]},
                    # The operator, an ingress, Prometheus: they show the token, or read metrics.
                    {"ports": [{"port": "rpc"}, {"port": "rest"}, {"port": "metrics"}]},
                ],
            },
        }
    ]
    for component in ("jobmanager", "taskmanager"):
        made.append(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": metadata(owner, f"{owner.name}-{component}", component),
                "spec": {
                    "maxUnavailable": 1,
                    "selector": {"matchLabels": selector(owner, component)},
                },
            }
        )
    return made


def _service(owner: Owner) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, owner.jobmanager, "jobmanager"),
        "spec": {
            "selector": selector(owner, "jobmanager"),
            "ports": [
                {"name": "rpc", "port": RPC_PORT, "targetPort": "rpc", "appProtocol": "grpc"},
                {"name": "rest", "port": REST_PORT, "targetPort": "rest", "appProtocol": "http"},
            ],
        },
    }


# ------------------------------------------------------------------------------------ processes


def _jobmanager(owner: Owner, spec: DeploymentSpec, *, running: bool) -> Json:
    probe = {"httpGet": {"path": "/healthz", "port": "rest", "scheme": "HTTP"}}
    ready = {"httpGet": {"path": "/readyz", "port": "rest", "scheme": "HTTP"}}
    container = {
        **_container(owner, spec, "jobmanager", spec.jobmanager.resources),
        "args": ["jobmanager"],
        "ports": [
            {"name": "rpc", "containerPort": RPC_PORT},
            {"name": "rest", "containerPort": REST_PORT},
            {"name": "metrics", "containerPort": METRICS_PORT},
        ],
        "startupProbe": {**probe, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {**probe, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3},
    }
    container["env"] = [
        *container["env"],
        {"name": "LESTO_JOBMANAGER__RPC__ADDRESS", "value": "$(POD_IP)"},
    ]
    pod = {
        **_pod(owner, spec, "1Gi"),
        "serviceAccountName": owner.name,
        "automountServiceAccountToken": spec.highly_available,
        "containers": [container],
    }
    strategy: Json = {"type": "Recreate"}
    if spec.highly_available:
        rolling = {"maxUnavailable": 0, "maxSurge": 1}
        strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    made = _deployment(owner, spec, "jobmanager", spec.jobmanager, pod, running=running)
    made["spec"]["strategy"] = strategy
    made["metadata"]["annotations"] = {
        OBJECTS_ANNOTATION: objects_digest(spec.raw, running=running)
    }
    return made


def _taskmanager(owner: Owner, spec: DeploymentSpec, *, running: bool) -> Json:
    probe = {"httpGet": {"path": "/metrics", "port": "metrics"}}
    container = {
        **_container(owner, spec, "taskmanager", spec.taskmanager.resources),
        "args": ["taskmanager", "-m", f"{owner.jobmanager}:{RPC_PORT}"],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
        "startupProbe": {**probe, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {
            **probe,
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
    }
    container["env"] = [
        *container["env"],
        {"name": "LESTO_TASKMANAGER__HOST", "value": "$(POD_IP)"},
        # JobManagers that stand by name the leader: it has no token to look at its Lease.
        {"name": "LESTO_HIGH_AVAILABILITY__TYPE", "value": "NONE"},
    ]
    pod = {
        **_pod(owner, spec, "10Gi"),
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    _add_packages(owner, spec, pod)
    made = _deployment(owner, spec, "taskmanager", spec.taskmanager, pod, running=running)
    made["spec"]["strategy"] = {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1},
    }
    return made


def submitter(
    owner: Owner, spec: DeploymentSpec, *, submission: int, job_id: str, restore: str
) -> Json:
    """The Kubernetes Job that runs the program, once, to have it submit its job.

    A pod that is tried again submits under the same id: nothing is submitted twice.
    """
    job = spec.job
    assert job is not None
    container = {
        **_container(owner, spec, "submitter", {}),
        "args": submit_arguments(owner, spec, job_id=job_id, restore=restore),
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the status says what it said last
    }
    container["env"] = [
        *container["env"],
        {"name": "LESTO_HIGH_AVAILABILITY__TYPE", "value": "NONE"},
        # The program gives the same graph each time it is run.
        {"name": "PYTHONHASHSEED", "value": "0"},
        *job.env,
    ]
    pod = {
        **_pod(owner, spec, "1Gi"),
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "containers": [container],
    }
    _add_packages(owner, spec, pod)
    template = {"metadata": {"labels": labels(owner, "submitter")}, "spec": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(owner, f"{owner.name}-submit-{submission}", "submitter"),
        "spec": {
            "backoffLimit": SUBMIT_RETRIES,
            "activeDeadlineSeconds": SUBMIT_SECONDS_MAX,
            "template": merge_pod(template, spec.pod_template, "submitter"),
        },
    }


def submit_arguments(owner: Owner, spec: DeploymentSpec, *, job_id: str, restore: str) -> list[str]:
    """The command line that submits."""
    job = spec.job
    assert job is not None
    given = ["run", "--detached", "--quiet", "-m", f"{owner.jobmanager}:{RPC_PORT}"]
    given += ["-p", str(job.parallelism), "-D", f"pipeline.fixed-job-id={job_id}"]
    if restore:
        given += ["-s", restore]
    if job.allow_non_restored:
        given.append("--allowNonRestoredState")
    given += ["-pym", job.module] if job.module else [job.py_file]
    return [*given, *job.args]


def _deployment(
    owner: Owner,
    spec: DeploymentSpec,
    component: str,
    process: ProcessSpec,
    pod: Json,
    *,
    running: bool,
) -> Json:
    marks = {"lesto.io/config-sha256": digest(lesto_config(owner, spec))}
    if spec.restart_nonce is not None:
        marks["lesto.io/restart-nonce"] = str(spec.restart_nonce)
    template: Json = {
        "metadata": {"labels": labels(owner, component), "annotations": marks},
        "spec": pod,
    }
    template = merge_pod(template, spec.pod_template, component)
    template = merge_pod(template, process.pod_template, component)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, f"{owner.name}-{component}", component),
        "spec": {
            "replicas": process.replicas if running else 0,
            "selector": {"matchLabels": selector(owner, component)},
            "template": template,
        },
    }


def _container(
    owner: Owner, spec: DeploymentSpec, component: str, resources: Mapping[str, Any]
) -> Json:
    token = {"name": spec.token_secret or owner.token_secret, "key": TOKEN_KEY}
    made: Json = {
        "name": component,
        "image": spec.image,
        "imagePullPolicy": spec.image_pull_policy,
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LESTO_CONF_DIR", "value": "/etc/lesto"},
            {"name": "LESTO_SECURITY__TOKEN", "valueFrom": {"secretKeyRef": token}},
        ],
        "resources": dict(resources) or _DEFAULT_RESOURCES[component],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/lesto", "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    }
    if spec.claim:
        made["volumeMounts"].append({"name": "storage", "mountPath": STORAGE})
    if spec.credentials_secret:
        made["envFrom"] = [{"secretRef": {"name": spec.credentials_secret}}]
    return made


def _pod(owner: Owner, spec: DeploymentSpec, scratch: str) -> Json:
    volumes: list[Json] = [
        {"name": "config", "configMap": {"name": f"{owner.name}-config"}},
        {"name": "scratch", "emptyDir": {"sizeLimit": scratch}},
    ]
    if spec.claim:
        claim = {"claimName": spec.claim}
        volumes.append({"name": "storage", "persistentVolumeClaim": claim})
    made: Json = {
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes,
    }
    if spec.image_pull_secrets:
        made["imagePullSecrets"] = [dict(item) for item in spec.image_pull_secrets]
    return made


def _add_packages(owner: Owner, spec: DeploymentSpec, pod: Json) -> None:
    """Python packages of the job, installed once a pod."""
    if spec.job is None or not spec.job.requirements:
        return
    (main,) = pod["containers"]
    pip: Sequence[str] = ("python", "-m", "pip", "install", "--no-cache-dir")
    installer = {
        **_container(owner, spec, "submitter", {}),
        "name": "packages",
        "command": [
            *pip,
            "--disable-pip-version-check",
            "--target",
            PACKAGES,
            "-r",
            "/etc/lesto/requirements.txt",
        ],
        "env": [],
    }
    mount = {"name": "packages", "mountPath": PACKAGES}
    installer["volumeMounts"] = [*installer["volumeMounts"], mount]
    pod["initContainers"] = [installer]
    pod["volumes"].append({"name": "packages", "emptyDir": {}})
    main["volumeMounts"].append({**mount, "readOnly": True})
    main["env"].append({"name": "PYTHONPATH", "value": PACKAGES})
