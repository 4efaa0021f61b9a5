"""Errors of the REST server, and the HTTP status that each error of Lesto means.

Codes ``LESTO-42xx`` are the TaskManager's; these are ``LESTO-43xx``.
"""

from lesto.common.errors import Domain, LestoError


class InsecureRestError(LestoError):
    """The REST server would listen beyond loopback without a token."""

    code = "LESTO-4301"
    domain = Domain.USER
    retryable = False


class RestPortError(LestoError):
    """The REST server's port is taken, or not ours to open."""

    code = "LESTO-4302"
    domain = Domain.USER
    retryable = False


class BadRequestError(LestoError):
    """A request's path, query or body is malformed."""

    code = "LESTO-4303"
    domain = Domain.USER
    retryable = False


class UnknownOperationError(LestoError):
    """No asynchronous operation has this trigger id, or it is too long ago."""

    code = "LESTO-4304"
    domain = Domain.USER
    retryable = False


class TooManyOperationsError(LestoError):
    """More asynchronous operations are in progress than the server runs at once."""

    code = "LESTO-4305"
    domain = Domain.EXTERNAL


class ForbiddenOriginError(LestoError):
    """A browser page of another origin, or a host name that is not ours, made the request."""

    code = "LESTO-4306"
    domain = Domain.USER
    retryable = False


class RestUnauthenticatedError(LestoError):
    """The request shows no token, or a wrong one."""

    code = "LESTO-4307"
    domain = Domain.USER
    retryable = False


class ForbiddenTargetError(LestoError):
    """A request without a token names a savepoint directory outside of the configured one."""

    code = "LESTO-4308"
    domain = Domain.USER
    retryable = False


class BodyTooLargeError(LestoError):
    """A request's body is longer than its endpoint takes."""

    code = "LESTO-4309"
    domain = Domain.USER
    retryable = False


class ServerBusyError(LestoError):
    """More requests wait for an answer than the server keeps."""

    code = "LESTO-4310"
    domain = Domain.EXTERNAL


class RouteNotFoundError(LestoError):
    """The REST server has no such path."""

    code = "LESTO-4311"
    domain = Domain.USER
    retryable = False


class MethodNotAllowedError(LestoError):
    """The path does not take this method."""

    code = "LESTO-4312"
    domain = Domain.USER
    retryable = False


class SwitchedOffError(LestoError):
    """The cluster's configuration does not allow this over REST."""

    code = "LESTO-4313"
    domain = Domain.USER
    retryable = False


class HeadersTooLargeError(LestoError):
    """A request's address and headers are longer than the server takes."""

    code = "LESTO-4316"
    domain = Domain.USER
    retryable = False


class JobManagerSilentError(LestoError):
    """The JobManager does not answer its REST process."""

    code = "LESTO-4317"
    domain = Domain.EXTERNAL


class NotReadyError(LestoError):
    """No JobManager leads at the moment."""

    code = "LESTO-4318"
    domain = Domain.EXTERNAL


class NotInJobError(LestoError):
    """A job has no such vertex, subtask, attempt, operator or log, or does not have it any more."""

    code = "LESTO-4314"
    domain = Domain.USER
    retryable = False


class RangeError(LestoError):
    """A request asks for a part of a file that the file does not have."""

    code = "LESTO-4315"
    domain = Domain.USER
    retryable = False


_STATUS = {
    "LESTO-1101": 503,
    "LESTO-1102": 504,
    "LESTO-1103": 502,
    "LESTO-1104": 404,
    "LESTO-4102": 404,
    "LESTO-4107": 409,
    "LESTO-4112": 503,
    "LESTO-4130": 404,
    "LESTO-4131": 404,
    "LESTO-4132": 503,
    "LESTO-4303": 400,
    "LESTO-4304": 404,
    "LESTO-4305": 429,
    "LESTO-4306": 403,
    "LESTO-4307": 401,
    "LESTO-4308": 403,
    "LESTO-4309": 413,
    "LESTO-4310": 503,
    "LESTO-4311": 404,
    "LESTO-4312": 405,
    "LESTO-4313": 403,
    "LESTO-4314": 404,
    "LESTO-4315": 416,
    "LESTO-4316": 431,
    "LESTO-4317": 503,
    "LESTO-4318": 503,
    "LESTO-4331": 413,
    "LESTO-4332": 409,
    "LESTO-4333": 404,
    "LESTO-4335": 429,
    "LESTO-4340": 404,
    "LESTO-4341": 404,
    "LESTO-4342": 429,
    "LESTO-4343": 429,
    "LESTO-4344": 410,
    "LESTO-4347": 503,
    "LESTO-4349": 507,
}


def http_status(error: LestoError) -> int:
    """Return the HTTP status for an error.

    >>> http_status(BadRequestError("no job id"))
    400
    """
    return _STATUS.get(error.code, 400 if error.domain is Domain.USER else 500)
