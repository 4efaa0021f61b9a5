"""Kinds of changes. As in ``pyflink.table.changelog_mode``."""

from lesto.client.table.kinds import ChangelogMode

__all__ = ["ChangelogMode"]
