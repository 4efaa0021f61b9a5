"""Every public name of PyFlink's datastream and common is there, with its arguments."""

import fnmatch
import importlib.util
from pathlib import Path

import pytest

from tests.contract import comparing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def findings():
    return list(comparing.findings())


def test_names_and_arguments_are_pyflinks(findings):
    wrong = [
        f"{found.name}: {found.problem}"
        for found in findings
        if found.problem
        and found.name not in comparing.not_yet()
        and not comparing.reason(found.name)
    ]
    assert not wrong, "\n".join(wrong)


def test_each_deliberate_difference_is_one(findings):
    differing = [found.name for found in findings if found.problem]
    idle = [p for p in comparing.deliberate() if not fnmatch.filter(differing, p)]
    assert not idle, f"deliberate.toml names what does not differ: {idle}"


def test_the_page_prints_each_deliberate_difference():
    path = ROOT / "scripts" / "gen_pyflink_contract.py"
    spec = importlib.util.spec_from_file_location("gen_pyflink_contract", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    page = generator.PAGE.read_text("utf-8")
    assert generator.with_differences(page) == page, f"run {path} --docs"


@pytest.mark.parametrize(
    ("wanted", "function", "problem"),
    [
        (["a", "b"], lambda a, b: None, ""),
        (["a", "b"], lambda a, c: None, "argument 1 is not b"),
        (["a"], lambda a, b: None, "needs b"),
        (["a"], lambda a, b=1: None, ""),
        (["a", "b"], lambda a: None, "no argument b"),
        (["a", "b"], lambda *_, **__: None, ""),
    ],
)
def test_arguments_are_compared_as_a_caller_would_give_them(wanted, function, problem):
    signature = {"names": wanted, "required": len(wanted), "keywords": [], "rest": False}
    assert comparing.arguments(function, signature).startswith(problem)
    assert bool(comparing.arguments(function, signature)) == bool(problem)
