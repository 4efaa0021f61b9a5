"""Makes the certificates of a cluster: an authority of its own, and what it signs.

The only module that imports ``cryptography`` (extra ``tls``). Keys are P-256; an authority signs
nothing but this cluster, so that a signature of it is proof enough between processes.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lesto.client.errors import CertificatesExistError, TlsExtraMissingError
from lesto.common.tls import CLIENT_NAME, NODE_NAME

DAYS_DEFAULT: Final = 730
#: A certificate is valid from a little before it is made: clocks of machines differ.
BACKDATED: Final = datetime.timedelta(minutes=10)
_KEY_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate as people are shown it.

    Attributes:
        file: its file's name.
        names: subject alternative names.
        expires: when it is valid no more, UTC.
    """

    file: str
    names: tuple[str, ...]
    expires: datetime.datetime


def make_certificates(
    folder: Path, hosts: Sequence[str], days: int = DAYS_DEFAULT, *, replace: bool = False
) -> list[Certificate]:
    """Write ``ca``, ``node``, ``client`` and ``rest`` as ``.pem`` and ``.key``; return them.

    Args:
        folder: is made, readable by its user alone.
        hosts: names and addresses under which browsers and REST clients reach the JobManager.
        days: for which they are valid.
        replace: overwrite what is there: processes with the old ones are then strangers.

    Raises:
        CertificatesExistError: there are some, and ``replace`` is false.
        TlsExtraMissingError: ``cryptography`` is not installed.
    """
    x509, _, ec = _cryptography()
    if not replace and (folder / "ca.pem").exists():
        msg = f"{folder} holds certificates"
        raise CertificatesExistError(
            msg, remedy="name another --dir, or --force: processes that use these become strangers"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _name(x509, "Lesto cluster authority")
    made = [_sign(x509, authority, authority, authority_key, authority_key, (), days, ca=True)]
    _write(folder / "ca", made[0], authority_key)
    for file, common_name, names in (
        ("node", NODE_NAME, (NODE_NAME,)),
        ("client", CLIENT_NAME, (CLIENT_NAME,)),
        ("rest", "lesto-rest", tuple(dict.fromkeys(("localhost", "127.0.0.1", *hosts)))),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(x509, common_name)
        signed = _sign(x509, subject, authority, key, authority_key, names, days)
        _write(folder / file, signed, key)
    return show_certificates(folder)


def show_certificates(folder: Path) -> list[Certificate]:
    """Return the certificates in a folder.

    Raises:
        TlsExtraMissingError: ``cryptography`` is not installed.
    """
    x509, _, _ = _cryptography()
    found = []
    for path in sorted(folder.glob("*.pem")):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            names = tuple(str(name.value) for name in extension.value)
        except x509.ExtensionNotFound:
            names = ()
        found.append(Certificate(path.name, names, certificate.not_valid_after_utc))
    return found


def _cryptography() -> tuple[Any, Any, Any]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        msg = "making certificates needs the package cryptography"
        raise TlsExtraMissingError(msg, remedy="pip install 'lesto[tls]'") from error
    return x509, hashes, ec


def _name(x509: Any, common_name: str) -> Any:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _sign(
    x509: Any,
    subject: Any,
    issuer: Any,
    key: Any,
    issuer_key: Any,
    names: Sequence[str],
    days: int,
    *,
    ca: bool = False,
) -> Any:
    _, hashes, _ = _cryptography()
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .add_extension(_usage(x509, ca=ca), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_general_name(x509, name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
        both = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(x509: Any, *, ca: bool) -> Any:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(x509: Any, name: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, certificate: Any, key: Any) -> None:
    from cryptography.hazmat.primitives import serialization

    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    target = path.with_suffix(".key")
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _KEY_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(private)
    path.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
