"""Details of EXPLAIN. As in ``pyflink.table.explain_detail``."""

from lesto.client.table.kinds import ExplainDetail

__all__ = ["ExplainDetail"]
