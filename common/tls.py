"""The certificates by which processes of one cluster know each other.

All are signed by one authority that signs nothing else, so a peer is known by the signature and
not by its host's name: processes move between hosts and containers. Those that belong to the
cluster bear ``NODE_NAME``, its clients ``CLIENT_NAME``: a client cannot pass itself off as a
TaskManager.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import Domain, LestoError
from lesto.common.option_types import ConfigOption

#: Subject alternative names (DNS) of certificates.
NODE_NAME: Final = "lesto-internal"
CLIENT_NAME: Final = "lesto-client"
#: A certificate file longer than this is none.
FILE_BYTES_MAX: Final = 1 << 20


class CertificateFileError(LestoError):
    """A file of ``security.ssl.*`` is missing, unreadable, or not what it should be."""

    code = "LESTO-1012"
    domain = Domain.USER
    retryable = False


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM texts: the authority's certificate, this process's, and its key."""

    ca: bytes
    certificate: bytes
    key: bytes


def internal_tls(config: Configuration) -> TlsFiles | None:
    """Return this process's files, or None where ``security.ssl.internal.enabled`` is false.

    Raises:
        CertificateFileError: a file is not named, or not usable.
    """
    if not config.get(options.SSL_INTERNAL_ENABLED):
        return None
    return TlsFiles(
        ca=_read(config, options.SSL_INTERNAL_CA, b"CERTIFICATE"),
        certificate=_read(config, options.SSL_INTERNAL_CERT, b"CERTIFICATE"),
        key=_read(config, options.SSL_INTERNAL_KEY, b"PRIVATE KEY"),
    )


def _read(config: Configuration, option: ConfigOption[str | None], kind: bytes) -> bytes:
    path = config.get(option)
    remedy = "`lesto certs init` makes the files and prints the options"
    if not path:
        msg = f"security.ssl.internal.enabled is true, but {option.key} names no file"
        raise CertificateFileError(msg, remedy=remedy)
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX)
    except OSError as error:
        msg = f"{option.key}: cannot read {path}: {error.strerror}"
        raise CertificateFileError(msg, remedy=remedy) from None
    if b"-----BEGIN " not in content or kind not in content:
        msg = f"{option.key}: {path} holds no {kind.decode().lower()} in PEM"
        raise CertificateFileError(msg, remedy=remedy)
    if b"ENCRYPTED" in content:
        msg = f"{option.key}: the key in {path} is encrypted"
        raise CertificateFileError(msg, remedy="give it unencrypted, readable by its user alone")
    return content
