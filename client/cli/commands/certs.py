"""`lesto certs`: the certificates of a cluster."""

from __future__ import annotations

import argparse
from pathlib import Path

from lesto.client.certificates import make_certificates, show_certificates
from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import print_records
from lesto.client.errors import CertificatesExistError

_OPTIONS = """\
Options of JobManagers and TaskManagers (config.yaml):
  security.ssl.internal.enabled: true
  security.ssl.internal.ca: {folder}/ca.pem
  security.ssl.internal.cert-chain: {folder}/node.pem
  security.ssl.internal.key: {folder}/node.key
Clients (lesto run, list, ...) take client.pem and client.key instead of node's.
REST over TLS:
  security.ssl.rest.enabled: true
  security.ssl.rest.cert-chain: {folder}/rest.pem
  security.ssl.rest.key: {folder}/rest.key
Keep ca.key away from the cluster: whoever has it can make certificates for it.
"""


def certs(arguments: argparse.Namespace) -> int:
    """Make certificates, or show those of a folder."""
    folder = Path(arguments.dir)
    if arguments.action == "show":
        found = show_certificates(folder)
        if not found:
            msg = f"there are no certificates in {folder}"
            raise CertificatesExistError(msg, remedy="`lesto certs init` makes some")
    else:
        found = make_certificates(
            folder, arguments.host or (), arguments.days, replace=arguments.force
        )
    print_records(
        [
            {
                "file": certificate.file,
                "names": ", ".join(certificate.names),
                "expires": certificate.expires.strftime("%Y-%m-%d %H:%M UTC"),
            }
            for certificate in found
        ],
        {"file": "FILE", "names": "NAMES", "expires": "EXPIRES"},
        arguments.output,
    )
    if arguments.action == "init" and arguments.output == "table":
        print(f"\n{_OPTIONS.format(folder=folder.resolve())}", end="")
    return ExitCode.OK
