"""Errors the JobManager raises or reports as a job's failure.

Codes: ``LESTO-41xx`` scheduling and processes, ``LESTO-51xx`` the coordinator's checkpoints.
"""

from lesto.common.errors import Domain, LestoError


class InvalidJobGraphError(LestoError):
    """A submitted job graph contradicts itself: a cycle, an unknown vertex, an impossible edge."""

    code = "LESTO-4101"
    domain = Domain.USER
    retryable = False


class JobNotFoundError(LestoError):
    """No job has this id; it never existed, or it left the archive of ended jobs."""

    code = "LESTO-4102"
    domain = Domain.USER
    retryable = False


class DuplicateJobError(LestoError):
    """A job with this id was submitted before."""

    code = "LESTO-4103"
    domain = Domain.USER
    retryable = False


class NoResourceAvailableError(LestoError):
    """Not enough slots were offered within ``slot.request.timeout``."""

    code = "LESTO-4104"
    domain = Domain.EXTERNAL


class SlotLostError(LestoError):
    """A slot process or its TaskManager died, or fell silent."""

    code = "LESTO-4105"
    domain = Domain.EXTERNAL


class TaskProtocolError(LestoError):
    """A task reported something that its state does not allow."""

    code = "LESTO-4106"


class JobStateError(LestoError):
    """The request does not fit the state the job is in."""

    code = "LESTO-4107"
    domain = Domain.USER
    retryable = False


class UnauthenticatedError(LestoError):
    """The caller did not present the cluster's token."""

    code = "LESTO-4108"
    domain = Domain.USER
    retryable = False


class InsecureBindError(LestoError):
    """The JobManager would listen beyond loopback without a token."""

    code = "LESTO-4109"
    domain = Domain.USER
    retryable = False


class PortInUseError(LestoError):
    """The address to listen on is taken or not ours."""

    code = "LESTO-4110"
    domain = Domain.USER
    retryable = False


class TracingUnavailableError(LestoError):
    """Traces are asked for, and what makes them is not installed."""

    code = "LESTO-4135"
    domain = Domain.USER
    retryable = False


class PythonVersionError(LestoError):
    """The job was pickled by another minor version of Python than the cluster runs."""

    code = "LESTO-4111"
    domain = Domain.USER
    retryable = False


class ClusterStoppedError(LestoError):
    """The JobManager is stopping."""

    code = "LESTO-4112"
    domain = Domain.EXTERNAL
    retryable = False


class NotLeaderError(LestoError):
    """This JobManager does not lead the cluster (now).

    Attributes:
        leader_address: ``host:port`` of the one that does; empty: not known.
    """

    code = "LESTO-4121"
    domain = Domain.EXTERNAL
    leader_address = ""


class LeaderFencedError(LestoError):
    """Another JobManager leads: nothing that this one still wanted to write was accepted."""

    code = "LESTO-4122"
    domain = Domain.EXTERNAL
    retryable = False


class ElectionError(LestoError):
    """The service that elects the leader cannot be used."""

    code = "LESTO-4123"
    domain = Domain.EXTERNAL


class JobLogError(LestoError):
    """A job's durable log or graph is damaged."""

    code = "LESTO-5121"
    domain = Domain.EXTERNAL
    retryable = False


class NoIntactCheckpointError(LestoError):
    """A job is to be recovered, and its newest complete checkpoint cannot be read any more."""

    code = "LESTO-5122"
    domain = Domain.EXTERNAL
    retryable = False


class CheckpointFailedError(LestoError):
    """A checkpoint or savepoint did not complete."""

    code = "LESTO-5101"


class TooManyCheckpointFailuresError(LestoError):
    """More consecutive checkpoints failed than are tolerated."""

    code = "LESTO-5102"


class RestoreMismatchError(LestoError):
    """A checkpoint's state does not fit the job that is to restore it."""

    code = "LESTO-5103"
    domain = Domain.USER
    retryable = False


class RestoreFailedError(LestoError):
    """The checkpoint to start from cannot be read."""

    code = "LESTO-5104"
    domain = Domain.USER
    retryable = False


class RescaleRefusedError(LestoError):
    """The job cannot have the parallelism asked for; it goes on with what it has."""

    code = "LESTO-4113"
    domain = Domain.USER


class PoisonRecordError(LestoError):
    """A function fails on the same record at every restart: the job cannot get past it."""

    code = "LESTO-6103"
    domain = Domain.USER
    retryable = False


class SourceCoordinatorError(LestoError):
    """A source's enumerator raised or could not be loaded on the JobManager."""

    code = "LESTO-6101"
    domain = Domain.USER
