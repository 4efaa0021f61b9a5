"""The layout of docs/adr/0001: one import name over root folders."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from rooms import ROOMS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_a_relative_link_to_its_root_folder(room):
    link = ROOT / "lesto" / room
    assert link.is_symlink()
    assert os.readlink(link) == f"../{room}"
    assert (link / "__init__.py").is_file()


def test_each_link_in_the_package_is_a_known_room():
    links = sorted(path.name for path in (ROOT / "lesto").iterdir() if path.is_symlink())
    assert links == sorted(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_each_folder_with_modules_is_a_package(room):
    """setuptools leaves out a folder without __init__.py, so the wheel would lack its modules."""
    missing = sorted(
        str(path.parent.relative_to(ROOT))
        for path in (ROOT / room).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    )
    assert not missing, f"no __init__.py in {sorted(set(missing))}"


def test_no_room_imports_as_a_top_level_module_outside_the_checkout():
    """The editable install must expose the one name lesto, from any working directory."""
    code = (
        "import importlib.util, sys; import lesto.state, lesto.common;"
        f"bare = [r for r in {ROOMS!r} if importlib.util.find_spec(r)];"
        f"loaded = [r for r in {ROOMS!r} if r in sys.modules];"
        "print(bare, loaded)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] []"


def test_no_room_was_imported_by_its_bare_name_in_this_session():
    assert not [room for room in ROOMS if room in sys.modules]


def test_import_of_lesto_alone_loads_no_dependency():
    code = (
        "import sys; import lesto;"
        "print([m for m in ('numba', 'grpc', 'pyarrow', 'numpy', 'rocksdict') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_version_is_the_distributions():
    import lesto

    assert lesto.__version__ == importlib.metadata.version("lesto")
    assert re.match(r"\d+\.\d+\.\d+", lesto.__version__)


def test_an_unknown_attribute_of_the_package_is_an_attribute_error():
    import lesto

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lesto.nonsense


def test_the_console_script_is_declared():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="lesto")
    assert entry.value == "lesto.client.cli.main:main"


def test_the_generated_stubs_match_their_sources():
    done = subprocess.run(
        [ROOT / "scripts" / "gen-protos", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_stubs_ask_for_no_newer_grpc_or_protobuf_than_the_declared_lower_bounds():
    """Generated code refuses an older runtime at import, on a user's machine."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bounds = dict(re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in declared)
    grpc = {
        tuple(map(int, found.split(".")))
        for path in (ROOT / "proto").glob("*_pb2_grpc.py")
        for found in re.findall(r"GRPC_GENERATED_VERSION = '([\d.]+)'", path.read_text())
    }
    protobuf = {
        tuple(map(int, found))
        for path in (ROOT / "proto").glob("*_pb2.py")
        for found in re.findall(r"Domain\.PUBLIC,\s+(\d+),\s+(\d+),\s+(\d+)", path.read_text())
    }
    assert grpc == {tuple(map(int, bounds["grpcio"].split(".")))}
    lowest = (*map(int, bounds["protobuf"].split(".")), 0)[:3]
    assert protobuf == {lowest}
