"""Certificates of a cluster, and the files that options name."""

from __future__ import annotations

import ssl
import stat

import pytest

from lesto.client.certificates import make_certificates, show_certificates
from lesto.client.cli.main import main
from lesto.client.errors import CertificatesExistError
from lesto.common.config import Configuration
from lesto.common.tls import CLIENT_NAME, NODE_NAME, CertificateFileError, internal_tls


def test_what_is_made(tmp_path) -> None:
    folder = tmp_path / "certs"
    made = make_certificates(folder, ("example.org", "10.0.0.7", "localhost"), 30)
    names = {certificate.file: certificate.names for certificate in made}
    assert names == {
        "ca.pem": (),
        "client.pem": (CLIENT_NAME,),
        "node.pem": (NODE_NAME,),
        "rest.pem": ("localhost", "127.0.0.1", "example.org", "10.0.0.7"),
    }
    assert made == show_certificates(folder)
    for key in folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(key.with_suffix(".pem"), key)  # fit each other


def test_what_is_there_is_not_replaced_by_accident(tmp_path) -> None:
    make_certificates(tmp_path, ())
    before = (tmp_path / "ca.pem").read_bytes()
    with pytest.raises(CertificatesExistError, match="holds certificates"):
        make_certificates(tmp_path, ())
    make_certificates(tmp_path, (), replace=True)
    assert (tmp_path / "ca.pem").read_bytes() != before


def test_the_command(tmp_path, capsys) -> None:
    assert main(["certs", "init", "--dir", str(tmp_path / "c"), "--host", "example.org"]) == 0
    out = capsys.readouterr().out
    assert f"security.ssl.internal.key: {tmp_path}/c/node.key" in out
    assert main(["certs", "show", "--dir", str(tmp_path / "c"), "-o", "json"]) == 0
    assert '"example.org' not in capsys.readouterr().err
    assert main(["certs", "show", "--dir", str(tmp_path / "none")]) != 0
    assert "lesto certs init" in capsys.readouterr().err


def _config(tmp_path, **changed: str) -> Configuration:
    values = {
        "enabled": "true",
        "ca": str(tmp_path / "ca.pem"),
        "cert-chain": str(tmp_path / "node.pem"),
        "key": str(tmp_path / "node.key"),
    }
    values.update({name.replace("_", "-"): value for name, value in changed.items()})
    return Configuration.from_dict(
        {f"security.ssl.internal.{name}": value for name, value in values.items() if value}
    )


def test_files_are_read_or_named(tmp_path) -> None:
    make_certificates(tmp_path, ())
    assert internal_tls(Configuration()) is None
    found = internal_tls(_config(tmp_path))
    assert found is not None
    assert found.certificate == (tmp_path / "node.pem").read_bytes()
    (tmp_path / "locked.key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    for wrong, message in (
        ({"ca": ""}, "internal.ca names no file"),
        ({"key": str(tmp_path / "none")}, "cannot read .*none: No such file"),
        ({"cert_chain": str(tmp_path / "node.key")}, "holds no certificate in PEM"),
        ({"key": str(tmp_path / "node.pem")}, "holds no private key in PEM"),
        ({"key": str(tmp_path / "locked.key")}, "is encrypted"),
    ):
        with pytest.raises(CertificateFileError, match=message):
            internal_tls(_config(tmp_path, **wrong))
