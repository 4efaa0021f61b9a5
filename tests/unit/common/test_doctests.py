"""Examples in docstrings are true."""

import doctest
import importlib

import pytest

MODULES = [
    "lesto.client.cli.commands.info",
    "lesto.client.cli.commands.jobs",
    "lesto.client.cli.exit_codes",
    "lesto.client.cli.output",
    "lesto.common.clock",
    "lesto.common.config",
    "lesto.common.config_loading",
    "lesto.common.errors",
    "lesto.common.hosts",
    "lesto.common.logs",
    "lesto.common.metrics",
    "lesto.common.option_types",
    "lesto.jobmanager.server.rest.errors",
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0
