"""The reference pages agree with the code."""

import importlib.util
import re
from pathlib import Path

import pytest

from lesto.client.cli.arguments import build_parser
from lesto.common.metric_table import DESCRIPTIONS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("gen_docs", ROOT / "scripts" / "gen_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_error_code_is_used_twice(generator):
    assert generator.duplicate_codes() == {}


def test_every_error_has_an_entry_with_code_and_meaning(generator):
    page = (ROOT / "docs" / "errors.md").read_text()
    missing = [
        cls.__name__
        for cls in generator._error_classes()
        if f"`{cls.code}` | {cls.__name__} |" not in page
    ]
    assert not missing, "run scripts/gen-docs"


def test_every_option_has_a_row_under_a_heading(generator):
    page = generator.configuration_page()
    for key in generator.known_options():
        assert f"| `{key}` |" in page
    assert page.count("\n## ") >= 7
    assert (ROOT / "docs" / "configuration.md").read_text() == page, "run scripts/gen-docs"


def test_every_command_and_exit_code_is_documented(generator):
    page = generator.cli_page()
    commands = build_parser()[1]
    assert len(commands) >= 13
    for name in commands:
        assert f"### lesto {name}" in page
    for code in generator.ExitCode:
        assert f"| {code.value} |" in page


def test_the_metrics_page_is_what_the_table_makes(generator):
    page = generator.metrics_page()
    for metric in DESCRIPTIONS.values():
        assert f"| `{metric.exposed}` |" in page
    assert (ROOT / "docs" / "metrics.md").read_text() == page, "run scripts/gen-docs"


def test_every_metric_of_the_engine_is_in_the_table():
    made = re.compile(r"""(?:metrics|group)\.(?:counter|gauge|total|distribution)\(\s*"(\w+)""")
    for room in ("jobmanager", "taskmanager", "state"):
        for path in (ROOT / room).rglob("*.py"):
            for name in made.findall(path.read_text(encoding="utf-8")):
                assert name in DESCRIPTIONS, (path.name, name)
