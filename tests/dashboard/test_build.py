"""The built dashboard: small, free of what a strict content policy forbids, up to date."""

import filecmp
import gzip
import json
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "jobmanager" / "server" / "rest" / "static"
BUDGET_BYTES = 500_000


def built_files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_manifest_names_every_asset():
    manifest = json.loads((STATIC / "manifest.json").read_text())["files"]
    assert sorted(manifest) == [name for name in built_files(STATIC) if name.startswith("assets/")]
    for name, told in manifest.items():
        content = (STATIC / name).read_bytes()
        assert (len(content), sha256(content).hexdigest()) == (told["bytes"], told["sha256"])


def test_all_assets_compressed_are_within_the_budget():
    sizes = {p.name: len(gzip.compress(p.read_bytes(), 9)) for p in STATIC.rglob("*.*")}
    assert sum(sizes.values()) <= BUDGET_BYTES, sizes


def test_what_the_first_page_needs_is_small():
    """The editor and the job page come when they are opened."""
    page = (STATIC / "index.html").read_text()
    first = re.findall(r'(?:src|href)="(assets/[^"]+)"', page)
    assert len(first) == 3
    code = "".join((STATIC / name).read_text() for name in first if name.endswith(".js"))
    imported = set(re.findall(r'from"\./([^"]+)"', code))
    files = [*first, *(f"assets/{name}" for name in imported)]
    size = sum(len(gzip.compress((STATIC / name).read_bytes(), 9)) for name in files)
    assert size < 60_000, (size, files)


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere():
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|javascript:", page)
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert "//" not in page.replace("<!doctype html>", "")
    for file in STATIC.rglob("*.css"):
        assert not re.search(r"url\((?!data:)|@import", file.read_text()), file


def test_assets_carry_a_hash_of_their_content_in_the_name():
    names = [name for name in built_files(STATIC) if name.startswith("assets/")]
    assert names
    assert all(re.search(r"-[0-9A-Za-z]{8,10}\.(js|css|svg)$", name) for name in names), names


def test_the_committed_build_is_what_the_sources_give(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: apt-get install nodejs npm, then npm ci in web/")
    if not (ROOT / "web" / "node_modules" / "esbuild").exists():
        pytest.skip("no node_modules: run npm ci in web/")
    done = subprocess.run(
        [node, "build.mjs", str(tmp_path)],
        cwd=ROOT / "web",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert built_files(tmp_path) == built_files(STATIC), "run npm run build in web/ and commit"
    _, differs, errors = filecmp.cmpfiles(STATIC, tmp_path, built_files(STATIC), shallow=False)
    assert not differs, "run npm run build in web/ and commit"
    assert not errors
