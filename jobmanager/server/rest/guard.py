"""Who may call the REST server.

With a token, every request must show it. Without one the server listens on loopback only, and a
request must name a loopback host and come from no other origin: otherwise any web page that the
user opens could steer the cluster through the browser (DNS rebinding, cross-site requests).
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from lesto.common.hosts import is_loopback_host
from lesto.common.rpc import AUTHORIZATION, is_authorized
from lesto.jobmanager.server.rest.errors import (
    ForbiddenOriginError,
    ForbiddenTargetError,
    RestUnauthenticatedError,
)
from lesto.jobmanager.server.rest.routing import Endpoint


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks each request.

    Attributes:
        token: what every request must show, or None on loopback.
        any_host: whether requests may name any host: an insecure server on a wider address.
    """

    token: str | None
    any_host: bool = False

    def check(self, endpoint: Endpoint, request: Request) -> None:
        """Let a request pass.

        Raises:
            RestUnauthenticatedError: the token is missing or wrong.
            ForbiddenOriginError: it came through another site.
        """
        method, headers = request.method, request.headers
        if self.token is not None:
            if endpoint.open:
                return
            if not is_authorized(self.token, ((AUTHORIZATION, headers.get(AUTHORIZATION, "")),)):
                msg = "the request shows no valid token"
                raise RestUnauthenticatedError(
                    msg, remedy="Send the header Authorization: Bearer <security.token>."
                )
            return
        if not self.any_host and not is_loopback_host(_without_port(headers.get("host", ""))):
            msg = "the request names a host that is not this machine"
            raise ForbiddenOriginError(msg, remedy="Use http://127.0.0.1 or http://localhost.")
        origin = headers.get("origin")
        if method not in {"GET", "HEAD"} and origin is not None:
            host = origin.partition("://")[2]
            if host != headers.get("host"):
                msg = "a page of another origin made the request"
                raise ForbiddenOriginError(msg, remedy="Call from this server's own pages.")


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """Where a request may send a savepoint: who shows no token gets no say beyond one folder.

    Attributes:
        trusted: callers show the cluster's token.
        root: folder or URI below which anyone may name a target; None: nowhere.
    """

    trusted: bool
    root: str | None

    def check(self, target: str) -> None:
        """Let a target pass.

        Raises:
            ForbiddenTargetError: it is outside of the folder.
        """
        if not target or self.trusted:
            return
        root = (self.root or "").rstrip("/")
        parts = target.split("/")
        inside = target == root or target.startswith(root + "/")
        if not root or not inside or ".." in parts or "\0" in target:
            msg = "the target directory is not in the configured savepoint directory"
            raise ForbiddenTargetError(
                msg,
                remedy="Leave it out, name one below execution.checkpointing.savepoint-dir, or use "
                "`lesto savepoint JOB DIR`, which shows the cluster's token.",
            )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
