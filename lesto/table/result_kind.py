"""Kinds of results. As in ``pyflink.table.result_kind``."""

from lesto.client.table.kinds import ResultKind

__all__ = ["ResultKind"]
