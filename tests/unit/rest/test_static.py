"""The dashboard's files: caching, policies, and no path from a request."""

import gzip
import hashlib
import http.client
import json

import pytest

from lesto.jobmanager.server.rest.routes import static
from tests.unit.rest.test_rest import client, jobmanager, server

__all__ = ["client", "jobmanager", "server"]

SCRIPT = b"export const answer = 42; " * 50


@pytest.fixture
def built(tmp_path, monkeypatch):
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<!doctype html><title>Lesto</title>")
    (folder / "assets" / "main-ABC.js").write_bytes(SCRIPT)
    (folder / "assets" / "unlisted.js").write_bytes(b"secret")
    (tmp_path / "outside.js").write_bytes(b"secret")
    listed = {"assets/main-ABC.js": {"sha256": hashlib.sha256(SCRIPT).hexdigest()}}
    (folder / "manifest.json").write_text(json.dumps({"files": listed}))
    monkeypatch.setattr(static.StaticResource.__init__, "__defaults__", (folder,))
    return folder


def ask(client, path, headers=None, method="GET"):
    connection = http.client.HTTPConnection(client.address, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_page_is_asked_for_each_time_and_its_files_never_again(built, client):
    for path in ("/", "/index.html"):
        status, headers, body = ask(client, path)
        assert (status, body) == (200, b"<!doctype html><title>Lesto</title>")
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["cache-control"] == "no-cache"
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        again = ask(client, path, {"If-None-Match": f'"x", W/{headers["etag"]}'})
        assert (again[0], again[2]) == (304, b"")
    status, headers, body = ask(client, "/assets/main-ABC.js")
    assert (status, body) == (200, SCRIPT)
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in headers["cache-control"]


def test_a_browser_gets_it_compressed(built, client):
    status, headers, body = ask(client, "/assets/main-ABC.js", {"Accept-Encoding": "br, gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(body) == SCRIPT
    assert len(body) < len(SCRIPT)
    head = ask(client, "/assets/main-ABC.js", method="HEAD")
    assert (head[0], head[2], head[1]["content-length"]) == (200, b"", str(len(SCRIPT)))


@pytest.mark.parametrize(
    "path",
    [
        "/assets/unlisted.js",
        "/assets/../../outside.js",
        "/assets/..%2f..%2foutside.js",
        "/assets/%2e%2e/%2e%2e/outside.js",
        "/assets/....//outside.js",
        "/assets/..",
        "/assets/",
        "/assets",
        "/assets/main-ABC.js%00",
        "/assets/main-ABC.js/",
        "/assets/%2fetc%2fpasswd",
        "/assets//etc/passwd",
        "/assets/..\\..\\outside.js",
        "/manifest.json",
        "/assets/manifest.json",
        "/../static/index.html",
        "//assets/main-ABC.js",
        "/assets/main-ABC.js;x",
        "/assets/MAIN-ABC.JS",
    ],
)
def test_no_name_becomes_a_path(built, client, path):
    status, _, body = ask(client, path)
    assert status in {400, 404}
    assert b"secret" not in body


def test_a_file_that_is_not_the_one_that_was_built_is_not_served(built, client):
    (built / "assets" / "main-ABC.js").write_bytes(b"other")
    status, _, body = ask(client, "/assets/main-ABC.js", {"Accept": "*/*"})
    assert status == 500
    assert len(json.loads(body)["error_id"]) == 16


def test_without_a_build_it_says_how_to_make_one(tmp_path):
    assert static.load(tmp_path) == {}


def test_the_built_dashboard_is_whole():
    if not (static.FOLDER / "index.html").exists():
        pytest.skip("no dashboard in this checkout: npm ci && npm run build in web/")
    assert len(static.load(static.FOLDER)) >= 3
