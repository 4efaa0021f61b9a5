"""When a task is scheduled, as in ``pyflink.common.input_dependency_constraint``."""

from __future__ import annotations

import enum


class InputDependencyConstraint(enum.Enum):
    """Which inputs a task of Flink's batch scheduler waits for; nothing in Lesto asks for it."""

    ANY = 0
    ALL = 1
