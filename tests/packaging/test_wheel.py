"""The wheel, built and installed into an empty environment outside the checkout."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from rooms import ROOMS

ROOT = Path(__file__).resolve().parents[2]
SMOKE_JOB = Path(__file__).with_name("smoke_job.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def _run(*command, cwd="/", timeout_s=500):
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "VIRTUAL_ENV", "LESTO_VENV"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build as a release does: the sdist from the checkout, the wheel from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist):
    (path,) = dist.glob("lesto-*.whl")
    return path


@pytest.fixture(scope="module")
def installed_python(wheel, tmp_path_factory):
    """Return the interpreter of an empty environment with the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    return python


def test_the_wheel_has_the_dashboard(wheel):
    folder = "lesto/jobmanager/server/rest/static"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        files = json.loads(archive.read(f"{folder}/manifest.json"))["files"]
    assert {f"{folder}/index.html", *(f"{folder}/{name}" for name in files)} <= names


def test_only_the_one_name_lands_at_the_top_level(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    info = {top for top in tops if top.endswith(".dist-info")}
    assert len(info) == 1
    assert tops - info == {"lesto"}


def test_the_wheel_holds_each_module_of_the_checkout_once(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    packaged = {name for name in names if name.endswith((".py", ".pyi", ".proto"))}
    expected = {"lesto/py.typed"}
    for path in (ROOT / "lesto").glob("**/*.py"):
        if not path.parent.is_symlink():
            expected.add(path.relative_to(ROOT).as_posix())
    for room in ROOMS:
        for pattern in ("**/*.py", "**/*.pyi", "**/*.proto"):
            expected |= {
                f"lesto/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / room).glob(pattern)
            }
    assert packaged | {"lesto/py.typed"} == expected
    assert "lesto/py.typed" in names
    assert len(names) == len(set(names))


def test_nothing_of_the_repository_around_the_package_is_shipped(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if "tests" in Path(name).parts or name.endswith(".pyc")]


def test_lesto_imports_from_site_packages_and_no_room_does(installed_python):
    code = (
        "import importlib.util, lesto, lesto.state, lesto.common;"
        f"print(lesto.__file__, [r for r in {ROOMS!r} if importlib.util.find_spec(r)])"
    )
    file, bare = _run(installed_python, "-c", code).strip().split(" ", 1)
    assert "site-packages" in file
    assert bare == "[]"


def test_the_console_script_is_installed(installed_python):
    code = (
        "from importlib.metadata import entry_points;"
        "print(*entry_points(group='console_scripts', name='lesto'))"
    )
    assert "lesto.client.cli.main:main" in _run(installed_python, "-c", code)
    assert (installed_python.parent / "lesto").exists()


def test_the_console_script_prints_its_help(installed_python):
    assert "usage: lesto" in _run(installed_python.parent / "lesto", "--help")


def test_the_smoke_job_runs(installed_python, tmp_path):
    _run(installed_python, SMOKE_JOB, cwd=tmp_path, timeout_s=120)


def test_an_sdist_can_be_installed_again(dist):
    """The sdist carries real files, not links out of itself."""
    import tarfile

    (path,) = dist.glob("lesto-*.tar.gz")
    with tarfile.open(path) as archive:
        links = [member.name for member in archive.getmembers() if member.issym() or member.islnk()]
        names = archive.getnames()
    assert not links
    assert any(name.endswith("/lesto/state/__init__.py") for name in names)
