"""How the operator reaches the Kubernetes API: as a pod, or by a kubeconfig."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

import yaml

from lesto.client.operator.errors import KubernetesApiError
from lesto.client.operator.http import JsonHttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def connect(kubeconfig: str = "") -> JsonHttp:
    """A connection: of ``KUBECONFIG``, else the pod's service account, else ``~/.kube/config``.

    Raises:
        KubernetesApiError: neither is there, or the file asks for what is not supported.
    """
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG", "")
    url = pod_server()
    if url and not kubeconfig:
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        return JsonHttp(url, token=account_token, context=context)
    path = Path(kubeconfig or Path.home() / ".kube" / "config")
    if not path.is_file():
        msg = f"there is no Kubernetes here: this is no pod, and {path} does not exist"
        raise KubernetesApiError(msg, remedy="Set KUBECONFIG, or run the operator in a pod.")
    return _from_kubeconfig(path)


def pod_server() -> str:
    """URL of the API as a pod with a service account is told; empty: this is none."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if not host or not (ACCOUNT / "token").exists():
        return ""
    named = f"[{host}]" if ":" in host else host
    return f"https://{named}:{os.environ.get('KUBERNETES_SERVICE_PORT', '443')}"


def account_token() -> str:
    """Read each time: Kubernetes changes it."""
    return (ACCOUNT / "token").read_text(encoding="ascii").strip()


def _from_kubeconfig(path: Path) -> JsonHttp:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = _named(found["contexts"], found["current-context"])["context"]
        cluster = _named(found["clusters"], context["cluster"])["cluster"]
        user = _named(found["users"], context["user"])["user"]
        return JsonHttp(cluster["server"], token=_token(path, user), context=_tls(cluster, user))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        msg = f"the kubeconfig {path} cannot be used: {error!r}"
        raise KubernetesApiError(msg, remedy="Check it with kubectl version.") from error


def _named(entries: Any, name: str) -> Any:
    return next((entry for entry in entries if entry["name"] == name), {})


def _token(path: Path, user: dict[str, Any]) -> str:
    if "exec" in user or "auth-provider" in user:
        msg = f"the kubeconfig {path} gets its credentials from another program"
        raise KubernetesApiError(
            msg,
            remedy="Run the operator in a pod, or give a token or certificate.",
        )
    if "tokenFile" in user:
        return Path(user["tokenFile"]).read_text(encoding="ascii").strip()
    return str(user.get("token", ""))


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext | None:
    if not cluster["server"].startswith("https://"):
        return None
    data = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=base64.b64decode(data).decode() if data else None,
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    elif "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile("wb", suffix=".pem") as file:  # ssl takes files only
            for key in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[key]) + b"\n")
            file.flush()
            context.load_cert_chain(file.name)
    return context
