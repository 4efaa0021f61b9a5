"""Kernels are compiled once, outside any single test's time limit."""

import pytest

import lesto.kernels


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    lesto.kernels.warm()
