"""Who may call the REST server.

Beyond loopback every request shows the token, or its connection a certificate. On loopback people
and dashboards need none: a request must name a loopback host and come from no other origin,
otherwise any web page that the user opens could steer the cluster through the browser (DNS
rebinding, cross-site requests). What runs code (``Access.CODE``) needs the token there too, unless
it comes from the cluster's own operating-system user.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from lesto.common.hosts import is_loopback_host
from lesto.common.rpc import AUTHORIZATION, is_authorized
from lesto.jobmanager.server.rest.errors import (
    ForbiddenOriginError,
    ForbiddenTargetError,
    RestUnauthenticatedError,
    SwitchedOffError,
)
from lesto.jobmanager.server.rest.peer import is_same_user
from lesto.jobmanager.server.rest.routing import Access, Endpoint

_SAFE_METHODS = frozenset({"GET", "HEAD"})
#: What a browser says of a request of our own pages, or of the user's own hand.
_OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks each request.

    Attributes:
        token: the cluster's, if it has one.
        loopback: whether the server listens on loopback only.
        certificates: whether every connection has shown a certificate that we trust.
        insecure: whether anyone may do anything (``--insecure``).
        runs_code: whether ``Access.CODE`` is allowed at all (``web.submit.enable``).
    """

    token: str | None
    loopback: bool = True
    certificates: bool = False
    insecure: bool = False
    runs_code: bool = True

    async def check(self, endpoint: Endpoint, request: Request) -> None:
        """Let a request pass.

        Raises:
            RestUnauthenticatedError: the token is missing or wrong.
            ForbiddenOriginError: it came through another site.
            SwitchedOffError: the configuration does not allow it to anyone.
        """
        shown = bool(self.token) and self._shows_token(request)
        if self.loopback:
            self._check_host(request)
        if not shown:
            # A browser never sends our token by itself: with it, a request is meant.
            self._check_origin(endpoint, request)
        if endpoint.access is Access.CODE and not self.runs_code:
            msg = "this cluster takes no programs over REST"
            raise SwitchedOffError(msg, remedy="Set web.submit.enable to true.")
        if endpoint.open or shown:
            return
        if not await self._may_do_without(endpoint, request):
            msg = "the request shows no valid token"
            raise RestUnauthenticatedError(
                msg, remedy="Send the header Authorization: Bearer <security.token>."
            )

    async def _may_do_without(self, endpoint: Endpoint, request: Request) -> bool:
        """Whether a request without the token may pass."""
        if self.certificates or self.insecure:
            return True
        if not self.loopback:
            return False
        if endpoint.access is not Access.CODE:
            return True
        client, server = request.client, request.scope.get("server")
        if client is None or server is None:
            return False
        near = (client.host, client.port)
        return await asyncio.to_thread(is_same_user, near, (str(server[0]), int(server[1])))

    def _shows_token(self, request: Request) -> bool:
        shown = request.headers.get(AUTHORIZATION, "")
        return is_authorized(self.token, ((AUTHORIZATION, shown),))

    def _check_host(self, request: Request) -> None:
        if not is_loopback_host(_without_port(request.headers.get("host", ""))):
            msg = "the request names a host that is not this machine"
            raise ForbiddenOriginError(msg, remedy="Use http://127.0.0.1 or http://localhost.")

    def _check_origin(self, endpoint: Endpoint, request: Request) -> None:
        # A program's plan is asked for with GET, and runs the program.
        if request.method in _SAFE_METHODS and endpoint.access is not Access.CODE:
            return
        origin = request.headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
        # An image or a link of another site names no origin; browsers say so in this header.
        if foreign or request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            msg = "a page of another origin made the request"
            raise ForbiddenOriginError(msg, remedy="Call from this server's own pages.")


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """Where a request may send a savepoint: who shows no token gets no say beyond one folder.

    Attributes:
        trusted: callers show the cluster's token or a certificate.
        root: folder or URI below which anyone may name a target; None: nowhere.
    """

    trusted: bool
    root: str | None

    def check(self, target: str) -> None:
        """Let a target pass.

        Raises:
            ForbiddenTargetError: it is outside of the folder.
        """
        if not target or (self.trusted and "\0" not in target):
            return
        root = (self.root or "").rstrip("/")
        parts = target.split("/")
        inside = target == root or target.startswith(root + "/")
        # Storage decodes a URI's escapes: below the folder none is needed.
        escaped = "%" in target.removeprefix(root)
        if not root or not inside or ".." in parts or "\0" in target or escaped:
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
