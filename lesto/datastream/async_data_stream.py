"""Requests to other systems. As in ``pyflink.datastream.async_data_stream``."""

from lesto.client.datastream.async_data_stream import AsyncDataStream

__all__ = ["AsyncDataStream"]
