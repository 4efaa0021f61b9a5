"""Programs of the image, loaded as modules: they are no package."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(f"docker_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def healthcheck():
    return load(ROOT / "deploy/docker/healthcheck.py")


@pytest.fixture(scope="session")
def requirements():
    return load(ROOT / "deploy/docker/requirements.py")
