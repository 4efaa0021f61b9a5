"""One source after another. As in ``pyflink.datastream.connectors.hybrid_source``."""

from lesto.connectors.hybrid import HybridSource, HybridSourceBuilder

__all__ = ["HybridSource", "HybridSourceBuilder"]
