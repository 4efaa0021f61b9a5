"""The content of a checkpoint's ``_metadata``; see :mod:`lesto.state.metadata_file`."""

from lesto.state.metadata_file import decode, encode, load

__all__ = ["decode", "encode", "load"]
