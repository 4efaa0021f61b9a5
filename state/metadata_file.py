"""The content of a checkpoint's ``_metadata``: length and checksum, then the message."""

from __future__ import annotations

import struct
import zlib

from google.protobuf.message import DecodeError

from lesto.proto import checkpoint_pb2
from lesto.state import paths
from lesto.state.errors import CheckpointNotFoundError, CorruptFileError, MissingFileError
from lesto.state.files import Files
from lesto.state.paths import METADATA_NAME

#: Version of CheckpointMetadata's layout.
FORMAT_VERSION = 1
_HEADER = struct.Struct("<8sIQ")
_MAGIC = b"LESTOCKP"
_REMEDY = "restore from an earlier checkpoint (chk-<n>) or another savepoint"


def encode(metadata: checkpoint_pb2.CheckpointMetadata) -> bytes:
    """The file's content."""
    payload = metadata.SerializeToString(deterministic=True)
    return _HEADER.pack(_MAGIC, zlib.crc32(payload), len(payload)) + payload


def decode(content: bytes, path: str) -> checkpoint_pb2.CheckpointMetadata:
    """The message, verified.

    Raises:
        CorruptFileError: it is not whole, or of a newer format.
    """
    payload = content[_HEADER.size :]
    if len(content) < _HEADER.size or content[: len(_MAGIC)] != _MAGIC:
        msg = f"{path} is not the metadata of a checkpoint"
        raise CorruptFileError(msg, remedy=_REMEDY)
    _, checksum, length = _HEADER.unpack_from(content)
    if len(payload) != length or zlib.crc32(payload) != checksum:
        msg = (
            f"{path} is damaged: {len(payload)} bytes, should be {length} "
            f"with checksum {checksum:08x}"
        )
        raise CorruptFileError(msg, remedy=_REMEDY)
    metadata = checkpoint_pb2.CheckpointMetadata()
    try:
        metadata.ParseFromString(payload)
    except DecodeError as error:
        msg = f"{path} cannot be decoded: {error}"
        raise CorruptFileError(msg, remedy=_REMEDY) from error
    if metadata.format_version > FORMAT_VERSION:
        msg = (
            f"{path} has format {metadata.format_version}, this Lesto reads up to {FORMAT_VERSION}"
        )
        raise CorruptFileError(msg, remedy="restore with the Lesto that wrote it, or a newer one")
    return metadata


def load(directory: str) -> checkpoint_pb2.CheckpointMetadata:
    """The metadata in a checkpoint's directory.

    Raises:
        CheckpointNotFoundError: there is none.
        CorruptFileError: it is damaged.
        StorageError: the storage refused.
    """
    try:
        with Files(directory).open_input(METADATA_NAME) as source:
            content = bytes(source.read())
    except MissingFileError as error:
        msg = f"{directory} is no complete checkpoint or savepoint: it has no {METADATA_NAME}"
        raise CheckpointNotFoundError(
            msg, remedy="give the directory chk-<n> of a checkpoint, or that of a savepoint"
        ) from error
    return decode(content, f"{directory}/{METADATA_NAME}")


def locate(path: str) -> tuple[checkpoint_pb2.CheckpointMetadata, str, str]:
    """The checkpoint or savepoint at ``path``: its directory, or its ``_metadata``.

    Returns:
        (metadata, its directory, the root that relative paths in it refer to).

    Raises:
        CheckpointNotFoundError: there is none.
        CorruptFileError: its metadata is damaged.
        StorageError: the storage refused.
    """
    directory = path.rstrip("/")
    if directory.endswith(f"/{METADATA_NAME}"):
        directory = paths.parent(directory)
    metadata = load(directory)
    own = paths.checkpoint_number(directory) is not None
    return metadata, directory, paths.parent(directory) if own else directory
