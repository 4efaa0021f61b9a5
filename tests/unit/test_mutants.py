"""Mutants have their place in the code: one that applies nowhere proves nothing."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = tomllib.loads((ROOT / "tests/mutants/mutants.toml").read_text())["mutant"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m["name"])
def test_its_place_is_there_once_and_so_is_its_test(mutant):
    code = (ROOT / mutant["file"]).read_text()
    assert code.count(mutant["find"]) == 1
    path = mutant["test"].split()[0].split("::")[0]
    assert (ROOT / path).exists()
