"""Certificates: who may talk to the processes of a cluster, and unheard by others."""

from __future__ import annotations

from lesto.common.option_types import ConfigOption

# --------------------------------------------------------------------------------------- security

SSL_INTERNAL_ENABLED = ConfigOption(
    "security.ssl.internal.enabled",
    bool,
    False,
    "Mutual TLS between JobManager, TaskManagers and clients, for control and data. `lesto certs "
    "init` makes the files.",
)
SSL_INTERNAL_CA: ConfigOption[str | None] = ConfigOption(
    "security.ssl.internal.ca",
    str,
    None,
    "File (PEM) with the certificate that all processes of the cluster are signed by.",
)
SSL_INTERNAL_CERT: ConfigOption[str | None] = ConfigOption(
    "security.ssl.internal.cert-chain",
    str,
    None,
    "File (PEM) with this process's certificate.",
)
SSL_INTERNAL_KEY: ConfigOption[str | None] = ConfigOption(
    "security.ssl.internal.key",
    str,
    None,
    "File (PEM) with the key of this process's certificate, unencrypted; only its user should be "
    "able to read it.",
)
SSL_REST_ENABLED = ConfigOption(
    "security.ssl.rest.enabled",
    bool,
    False,
    "Serve REST and the dashboard over TLS.",
)
SSL_REST_CERT: ConfigOption[str | None] = ConfigOption(
    "security.ssl.rest.cert-chain",
    str,
    None,
    "File (PEM) with the REST server's certificate and those above it.",
)
SSL_REST_KEY: ConfigOption[str | None] = ConfigOption(
    "security.ssl.rest.key",
    str,
    None,
    "File (PEM) with the key of the REST server's certificate, unencrypted; only its user should "
    "be able to read it.",
)
SSL_REST_AUTHENTICATION = ConfigOption(
    "security.ssl.rest.authentication-enabled",
    bool,
    False,
    "Callers of REST show a certificate signed by security.ssl.rest.ca. They need no token then.",
)
SSL_REST_CA: ConfigOption[str | None] = ConfigOption(
    "security.ssl.rest.ca",
    str,
    None,
    "File (PEM) with the certificates that callers of REST are signed by.",
)
