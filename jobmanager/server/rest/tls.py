"""TLS for the REST server: ``security.ssl.rest.*``."""

from __future__ import annotations

import ssl

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.option_types import ConfigOption
from lesto.common.tls import CertificateFileError


def rest_tls(config: Configuration) -> ssl.SSLContext | None:
    """Return the server's context, or None where ``security.ssl.rest.enabled`` is false.

    Raises:
        CertificateFileError: a file is not named, or not usable.
    """
    if not config.get(options.SSL_REST_ENABLED):
        if config.get(options.SSL_REST_AUTHENTICATION):
            msg = "security.ssl.rest.authentication-enabled needs security.ssl.rest.enabled"
            raise CertificateFileError(msg, remedy="Set both, or neither.")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    certificate = _path(config, options.SSL_REST_CERT)
    key = _path(config, options.SSL_REST_KEY)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        keys = f"{options.SSL_REST_CERT.key} ({certificate}), {options.SSL_REST_KEY.key} ({key})"
        msg = f"{keys}: {_reason(error)}"
        raise CertificateFileError(
            msg, remedy="Name a certificate and its own, unencrypted key, both in PEM."
        ) from None
    if config.get(options.SSL_REST_AUTHENTICATION):
        context.verify_mode = ssl.CERT_REQUIRED
        authorities = _path(config, options.SSL_REST_CA)
        try:
            context.load_verify_locations(authorities)
        except OSError as error:
            msg = f"{options.SSL_REST_CA.key} ({authorities}): {_reason(error)}"
            raise CertificateFileError(msg, remedy="Name a file of certificates in PEM.") from None
    return context


def _path(config: Configuration, option: ConfigOption[str | None]) -> str:
    path = config.get(option)
    if not path:
        msg = f"security.ssl.rest.enabled is true, but {option.key} names no file"
        raise CertificateFileError(msg, remedy=f"Set {option.key} to a file in PEM.")
    return path


def _no_password() -> str:
    msg = "the key is encrypted"
    raise ValueError(msg)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not readable as PEM"
    return getattr(error, "strerror", None) or str(error)
