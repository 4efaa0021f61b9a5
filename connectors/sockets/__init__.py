"""Texts that a server sends."""

from lesto.connectors.sockets.source import SocketTextSource

__all__ = ["SocketTextSource"]
