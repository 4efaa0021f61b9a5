"""Errors of uploads, of scripts run over REST and of SQL sessions: ``LESTO-433x`` and ``434x``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lesto.common.errors import Domain, LestoError


class InvalidUploadError(LestoError):
    """An upload is no multipart body with a file in the field ``jarfile``, or it is no program."""

    code = "LESTO-4330"
    domain = Domain.USER
    retryable = False


class UploadTooLargeError(LestoError):
    """An uploaded file is larger than the server takes."""

    code = "LESTO-4331"
    domain = Domain.USER
    retryable = False


class StoreFullError(LestoError):
    """The uploaded files together are more than the server keeps."""

    code = "LESTO-4332"
    domain = Domain.USER


class UnknownArtifactError(LestoError):
    """No uploaded file has this id, or it was deleted."""

    code = "LESTO-4333"
    domain = Domain.USER
    retryable = False


class DamagedArtifactError(LestoError):
    """An uploaded file is not what was uploaded."""

    code = "LESTO-4334"
    domain = Domain.EXTERNAL
    retryable = False


class TooManyScriptsError(LestoError):
    """More uploads or scripts are under way than the server runs at once."""

    code = "LESTO-4335"
    domain = Domain.EXTERNAL


class ScriptError(LestoError):
    """A script that was run over REST raised an exception, or ended with an exit code but 0.

    Attributes:
        details: more about it, by name: ``traceback``, ``location``, ``output``, ``jobs``, ...
    """

    code = "LESTO-4336"
    domain = Domain.USER
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        location: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, location=location)
        self.details = dict(details or {})


class NoJobSubmittedError(ScriptError):
    """A script that was run over REST ended without submitting a job."""

    code = "LESTO-4337"


class ScriptTimeoutError(ScriptError):
    """A script that was run over REST submitted no job within ``web.submit.timeout``."""

    code = "LESTO-4338"


class RemoteCodeError(ScriptError):
    """A process that runs users' code answered with an error; it keeps that error's own code."""

    code = "LESTO-4339"


class UnknownSqlSessionError(LestoError):
    """No SQL session has this handle: it was closed, was idle for too long, or never was."""

    code = "LESTO-4340"
    domain = Domain.USER
    retryable = False


class UnknownSqlOperationError(LestoError):
    """The SQL session has no statement with this handle, or it was closed."""

    code = "LESTO-4341"
    domain = Domain.USER
    retryable = False


class TooManySqlSessionsError(LestoError):
    """``sql-gateway.session.max-num`` SQL sessions are open."""

    code = "LESTO-4342"
    domain = Domain.EXTERNAL


class TooManySqlOperationsError(LestoError):
    """The SQL session has more statements, or requests under way, than it takes."""

    code = "LESTO-4343"
    domain = Domain.EXTERNAL


class SqlSessionLostError(LestoError):
    """The process of a SQL session has ended, or does not answer."""

    code = "LESTO-4344"
    domain = Domain.EXTERNAL


class ResultTokenError(LestoError):
    """A part of a result was asked for that is neither the next one nor the last one given."""

    code = "LESTO-4345"
    domain = Domain.USER
    retryable = False


class SqlOperationStateError(LestoError):
    """A statement's result was asked for, and it was cancelled or timed out."""

    code = "LESTO-4346"
    domain = Domain.USER
    retryable = False


class SubmissionStoppedError(LestoError):
    """The JobManager is stopping: it runs no more scripts."""

    code = "LESTO-4347"
    domain = Domain.EXTERNAL


class StorageError(LestoError):
    """Uploaded files, or the folders of programs that run, cannot be written."""

    code = "LESTO-4349"
    domain = Domain.EXTERNAL


class ResultTooLargeError(LestoError):
    """One row of a result is larger than an answer may be."""

    code = "LESTO-4348"
    domain = Domain.USER
    retryable = False
