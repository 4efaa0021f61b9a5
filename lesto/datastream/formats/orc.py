"""ORC files. As in ``pyflink.datastream.formats.orc``."""

from lesto.connectors.files.parquet_formats import OrcBulkWriters

__all__ = ["OrcBulkWriters"]
