"""Errors of the client: what a user meets between the command line and the JobManager.

Codes ``LESTO-11xx``.
"""

from typing import Any

from lesto.common.errors import Domain, LestoError


class JobManagerUnreachableError(LestoError):
    """Nothing answers as a JobManager at the address."""

    code = "LESTO-1101"
    domain = Domain.EXTERNAL


class JobManagerTimeoutError(LestoError):
    """The JobManager did not answer within ``client.timeout``."""

    code = "LESTO-1102"
    domain = Domain.EXTERNAL


class NotAuthorizedError(LestoError):
    """The JobManager refuses the client's token, or the lack of one."""

    code = "LESTO-1103"
    domain = Domain.USER
    retryable = False


class UnknownJobError(LestoError):
    """No job has this id or prefix."""

    code = "LESTO-1104"
    domain = Domain.USER
    retryable = False


class AmbiguousJobError(LestoError):
    """Several jobs have ids with this prefix."""

    code = "LESTO-1105"
    domain = Domain.USER
    retryable = False


class JobManagerCallError(LestoError):
    """The JobManager answered a call with a failure that it gave no name to."""

    code = "LESTO-1106"


class MissingArgumentError(LestoError):
    """A command of `lesto` lacks an argument."""

    code = "LESTO-1114"
    domain = Domain.USER
    retryable = False


class UnknownCommandError(LestoError):
    """`lesto` has no such command."""

    code = "LESTO-1107"
    domain = Domain.USER
    retryable = False


class ScriptNotFoundError(LestoError):
    """The job script to run does not exist or cannot be read."""

    code = "LESTO-1108"
    domain = Domain.USER
    retryable = False


class BadAddressError(LestoError):
    """An address is not ``HOST:PORT``."""

    code = "LESTO-1109"
    domain = Domain.USER
    retryable = False


class ClusterStartError(LestoError):
    """A process of the cluster did not come up in time."""

    code = "LESTO-1111"


class NoJobError(LestoError):
    """The script ended without submitting a job."""

    code = "LESTO-1113"
    domain = Domain.USER
    retryable = False


class BadRunOptionsError(LestoError):
    """The environment variable that carries the options of ``lesto run`` cannot be read."""

    code = "LESTO-1120"
    domain = Domain.USER
    retryable = False


class JobExecutionError(LestoError):
    """A job failed for good. The text leads with the user's own traceback, where there is one.

    Attributes:
        user_traceback: the user's frames, formatted; empty when none was involved.
        full_traceback: all frames of the failing task.
        failure_code: code of the failure itself, such as ``LESTO-6001``.
    """

    code = "LESTO-6100"
    domain = Domain.USER
    retryable = False
    user_traceback = ""
    full_traceback = ""
    failure_code = ""

    def __str__(self) -> str:
        leading = f"{self.user_traceback.rstrip()}\n" if self.user_traceback else ""
        return f"{leading}{super().__str__()}"

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, arguments = super().__reduce__()
        return (rebuild, arguments, dict(self.__dict__))


class JobCanceledError(LestoError):
    """A job that was waited for has been cancelled."""

    code = "LESTO-1122"
    domain = Domain.USER
    retryable = False


class StorageDoubtError(LestoError):
    """`lesto doctor`: a storage does not do what checkpoints rest on."""

    code = "LESTO-1132"
    domain = Domain.EXTERNAL
    retryable = False


class UsageError(LestoError):
    """Options of a command do not go together, or a value is out of its range."""

    code = "LESTO-1130"
    domain = Domain.USER
    retryable = False


class CertificatesExistError(LestoError):
    """A folder already holds certificates, or holds none to show."""

    code = "LESTO-1141"
    domain = Domain.USER
    retryable = False


class TlsExtraMissingError(LestoError):
    """The package that makes certificates is not installed."""

    code = "LESTO-1142"
    domain = Domain.USER
    retryable = False
