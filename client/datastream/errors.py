"""Errors of building a job. Codes ``LESTO-20xx``; all are the user's to mend, and none is
retried.
"""

from lesto.common.errors import Domain, LestoError


class JobBuildError(LestoError):
    """The job cannot be built as written."""

    code = "LESTO-2000"
    domain = Domain.USER
    retryable = False


class NotSupportedError(JobBuildError):
    """A part of Flink's API that Lesto does not have yet."""

    code = "LESTO-2001"


class WrongArgumentError(JobBuildError, TypeError):
    """An argument is not of the type that the method takes."""

    code = "LESTO-2002"


class UnpicklableFunctionError(JobBuildError):
    """A function cannot be sent to the workers."""

    code = "LESTO-2003"


class DuplicateUidError(JobBuildError):
    """Two operators have one uid."""

    code = "LESTO-2004"


class NoSinkError(JobBuildError):
    """The job has no sink, so nothing would come out of it."""

    code = "LESTO-2005"


class SchemaRequiredError(JobBuildError):
    """Columns are named on a stream of opaque Python values."""

    code = "LESTO-2006"


class SchemaConflictError(JobBuildError):
    """Streams that are joined into one have different columns."""

    code = "LESTO-2007"


class JobTooLargeError(JobBuildError):
    """The job's functions hold more data than is sent with a job."""

    code = "LESTO-2009"


class InvalidParallelismError(JobBuildError):
    """A parallelism or key-group number that cannot be."""

    code = "LESTO-2008"
