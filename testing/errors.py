"""Errors of the test kit."""

from __future__ import annotations

from lesto.common.errors import Domain, LestoError


class TestKitError(LestoError):
    """The test kit is used in a way that cannot work."""

    __test__ = False  # its name is no test's
    code = "LESTO-7001"
    domain = Domain.USER
    retryable = False


class ScriptedAbortError(LestoError):
    """A :class:`~lesto.testing.ScriptedSource` has come to an ``ABORT``: the failure was asked
    for.
    """

    code = "LESTO-7002"
    domain = Domain.EXTERNAL
    retryable = True


class NoCheckpointError(LestoError):
    """A :class:`~lesto.testing.ScriptedSource` has waited too long at a ``CHECKPOINT``."""

    code = "LESTO-7003"
    domain = Domain.USER
    retryable = False
