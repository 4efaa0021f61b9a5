"""Planners over some tables."""

import pytest
from sql_plans import NEXMARK, TABLES, planner_of


@pytest.fixture(scope="session")
def planner():
    return planner_of(TABLES)


@pytest.fixture(scope="session")
def nexmark():
    return planner_of((NEXMARK / "tables.sql").read_text())
