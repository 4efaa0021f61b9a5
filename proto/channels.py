"""Channels and ports of our gRPC services, plain or with mutual TLS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from lesto.common.tls import NODE_NAME, TlsFiles

ChannelOptions = Sequence[tuple[str, Any]]


def open_channel(
    address: str, options: ChannelOptions, tls: TlsFiles | None = None
) -> grpc.Channel:
    """Return a blocking channel to ``host:port`` of a process of the cluster."""
    if tls is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, _credentials(tls), options=_named(options))


def open_aio_channel(
    address: str, options: ChannelOptions, tls: TlsFiles | None = None
) -> grpc.aio.Channel:
    """Return an asyncio channel to ``host:port`` of a process of the cluster."""
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, _credentials(tls), options=_named(options))


def add_port(server: grpc.aio.Server, address: str, tls: TlsFiles | None = None) -> int:
    """Have a server listen at ``host:port``; return the port.

    Raises:
        RuntimeError: the address is taken or not ours.
    """
    if tls is None:
        return int(server.add_insecure_port(address))
    credentials = grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], tls.ca, require_client_auth=True
    )
    return int(server.add_secure_port(address, credentials))


def peer_names(context: grpc.aio.ServicerContext[Any, Any]) -> frozenset[str]:
    """Return the names in the certificate of a call's peer; none on a plain channel."""
    found = context.auth_context().get("x509_subject_alternative_name", ())
    return frozenset(name.decode(errors="replace") for name in found)


def _credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)


def _named(options: ChannelOptions) -> list[tuple[str, Any]]:
    # Whoever has a certificate of this name is of the cluster, on whatever host it runs.
    return [*options, ("grpc.ssl_target_name_override", NODE_NAME)]
