"""Runs programs as a user would: `lesto run`, from a process that has Lesto imported already."""

from tests.mistakes.conftest import command, launch, warm_process

__all__ = ["command", "launch", "warm_process"]
