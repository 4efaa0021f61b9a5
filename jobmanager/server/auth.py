"""Who may talk to the JobManager, and where it may listen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from lesto.common.errors import LestoError
from lesto.common.hosts import is_loopback_host
from lesto.common.rpc import error_metadata, is_authorized
from lesto.jobmanager.errors import InsecureBindError, UnauthenticatedError


def check_bind(host: str, *, proven: bool, insecure: bool) -> None:
    """Refuse to listen where strangers are.

    Args:
        host: the address.
        proven: callers must show a token, or a certificate of the cluster.
        insecure: somebody insists.

    Raises:
        InsecureBindError: none of it holds, and the host is not loopback.
    """
    if proven or insecure or is_loopback_host(host):
        return
    msg = f"listening on {host} without a token would let anyone who reaches it run code"
    raise InsecureBindError(
        msg,
        remedy="set security.token or security.ssl.internal.enabled, bind 127.0.0.1, or insist "
        "with security.insecure: true",
    )


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses every call that does not show the token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._refusal: Any = grpc.unary_unary_rpc_method_handler(_refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Pass the call on, or answer UNAUTHENTICATED."""
        metadata = [(key, value) for key, value in details.invocation_metadata or ()]
        if is_authorized(self._token, metadata):
            return await continuation(details)
        return self._refusal


async def _refuse(_request: Any, context: Any) -> None:
    error = UnauthenticatedError(
        "the call does not show the cluster's token", remedy="set security.token on this side too"
    )
    await abort(context, error, grpc.StatusCode.UNAUTHENTICATED)


async def abort(context: Any, error: LestoError, status: grpc.StatusCode) -> None:
    """End a call with an error of ours."""
    await context.abort(status, str(error), error_metadata(error))
