"""Errors of keyed state, snapshots and checkpoint storage."""

from lesto.common.errors import Domain, LestoError


class StateError(LestoError):
    """Root of the errors of state and checkpoints."""

    code = "LESTO-5000"


class CorruptFileError(StateError):
    """A file of a checkpoint is damaged: length, checksum or form are wrong."""

    code = "LESTO-5001"
    domain = Domain.EXTERNAL
    retryable = False


class MissingFileError(StateError):
    """A file of a checkpoint is not there."""

    code = "LESTO-5002"
    domain = Domain.EXTERNAL
    retryable = False


class CheckpointNotFoundError(StateError):
    """The path given is not a checkpoint or savepoint."""

    code = "LESTO-5003"
    domain = Domain.USER
    retryable = False


class CheckpointExistsError(StateError):
    """Somebody else has completed the checkpoint: a stale coordinator is fenced off."""

    code = "LESTO-5004"
    retryable = False


class StateMismatchError(StateError):
    """Stored state does not fit the state the job declares under that name."""

    code = "LESTO-5005"
    domain = Domain.USER
    retryable = False


class MaxParallelismError(StateError):
    """The job's max parallelism differs from the one its state was written with."""

    code = "LESTO-5006"
    domain = Domain.USER
    retryable = False


class UnknownOperatorStateError(StateError):
    """The snapshot has state of an operator that the job does not have."""

    code = "LESTO-5007"
    domain = Domain.USER
    retryable = False


class UnsupportedStateError(StateError):
    """A feature of state that is not there."""

    code = "LESTO-5008"
    domain = Domain.USER
    retryable = False


class NoCurrentKeyError(StateError):
    """Keyed state was used outside of a keyed call."""

    code = "LESTO-5009"
    domain = Domain.USER
    retryable = False


class UnencodableStateError(StateError):
    """A key or value can be neither encoded nor pickled."""

    code = "LESTO-5010"
    domain = Domain.USER
    retryable = False


class StorageError(StateError):
    """Checkpoint storage refused a read or a write."""

    code = "LESTO-5011"
    domain = Domain.EXTERNAL


class StateMigrationError(StateMismatchError):
    """The type of a state has changed to one that stored values do not become."""

    code = "LESTO-5012"
    domain = Domain.USER
    retryable = False


class StateTypeError(StateError):
    """A value is not of the type its state was declared with, or that type cannot be kept."""

    code = "LESTO-5013"
    domain = Domain.USER
    retryable = False


class StateNotFoundError(StateError):
    """A savepoint has no such operator, or the operator no such state."""

    code = "LESTO-5020"
    domain = Domain.USER
    retryable = False


class UnreadableStateError(StateError):
    """State and Arrow columns do not fit each other."""

    code = "LESTO-5021"
    domain = Domain.USER
    retryable = False


class SavepointWriteError(StateError):
    """A savepoint cannot be made from what was given."""

    code = "LESTO-5022"
    domain = Domain.USER
    retryable = False


class LeaseServiceError(StateError):
    """The service that keeps the leader's lease cannot be used (now)."""

    code = "LESTO-5051"
    domain = Domain.EXTERNAL


class ReadOnlyBroadcastStateError(StateError):
    """Broadcast state was written where it may only be read: the copies would differ."""

    code = "LESTO-5030"
    domain = Domain.USER
    retryable = False


class UndeclaredBroadcastStateError(StateError):
    """Broadcast state was asked for that was not declared with ``broadcast(descriptor)``."""

    code = "LESTO-5031"
    domain = Domain.USER
    retryable = False


class BroadcastStateTooLargeError(StateError):
    """Broadcast state is larger than what a checkpoint takes of it."""

    code = "LESTO-5032"
    domain = Domain.USER
    retryable = False
