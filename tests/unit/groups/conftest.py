"""Kernels are compiled before the first test is timed."""

import pytest

import lesto.kernels
from lesto.kernels.groups import GROUPS


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    lesto.kernels.warm((*GROUPS, "rows"))
