"""Errors of slots, tasks and the channels between them."""

from lesto.common.errors import Domain, LestoError


class ChannelLostError(LestoError):
    """The connection to a neighbouring task broke: its process or machine is gone."""

    code = "LESTO-4201"
    domain = Domain.EXTERNAL


class ChannelRefusedError(LestoError):
    """A data channel was refused: wrong token, a stale epoch or attempt, or nobody reads it."""

    code = "LESTO-4202"


class ChannelProtocolError(LestoError):
    """A channel lost, doubled or reordered a message, or carried something unknown."""

    code = "LESTO-4203"


class SlotStartError(LestoError):
    """Slot processes end before they are ready."""

    code = "LESTO-4204"


class GatewayLostError(LestoError):
    """The JobManager or the supervisor is gone or silent."""

    code = "LESTO-4205"
    domain = Domain.EXTERNAL


class DeploymentError(LestoError):
    """A task could not be built from its deployment."""

    code = "LESTO-4206"
    retryable = False


class InsecureDataBindError(LestoError):
    """The slots of a TaskManager would listen beyond loopback in a cluster without a token."""

    code = "LESTO-4207"
    domain = Domain.USER
    retryable = False


class UnknownHostError(LestoError):
    """A TaskManager that listens on all addresses does not know at which others reach it."""

    code = "LESTO-4208"
    domain = Domain.USER
    retryable = False


class InFlightFormatError(LestoError):
    """In-flight data of a checkpoint is not what the job's channels carry."""

    code = "LESTO-5201"
    retryable = False


class UnserializableRecordError(LestoError):
    """A record cannot be pickled, so it cannot go to another process."""

    code = "LESTO-6102"
    domain = Domain.USER
    retryable = False
