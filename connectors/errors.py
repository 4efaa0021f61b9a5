"""Errors of connectors and formats (LESTO-3xxx)."""

from __future__ import annotations

from lesto.common.errors import Domain, LestoError


class ConnectorError(LestoError):
    """A connector cannot do what it is asked for."""

    code = "LESTO-3000"
    domain = Domain.EXTERNAL


class ConnectorConfigError(ConnectorError):
    """A source, sink or format was given options that do not go together."""

    code = "LESTO-3001"
    domain = Domain.USER
    retryable = False


class MalformedRecordError(ConnectorError):
    """A record of the input cannot be read; names the file and the line."""

    code = "LESTO-3002"
    domain = Domain.USER
    retryable = False


class SchemaMismatchError(ConnectorError):
    """The input's columns are not those the job was built with."""

    code = "LESTO-3003"
    domain = Domain.USER
    retryable = False


class InputNotFoundError(ConnectorError):
    """A path to be read does not exist."""

    code = "LESTO-3004"
    domain = Domain.USER
    retryable = False


class PublishError(ConnectorError):
    """Prepared data cannot be published: it is gone."""

    code = "LESTO-3005"
    retryable = False


class OutputError(ConnectorError):
    """The place to write to cannot be written, and trying again will not change that."""

    code = "LESTO-3006"
    domain = Domain.USER
    retryable = False


class UnreadableFileError(ConnectorError):
    """A file of the input is not of the format it is read as, or is damaged."""

    code = "LESTO-3007"
    domain = Domain.USER
    retryable = False


class MissingExtraError(ConnectorError):
    """A package that this connector or format needs is not installed; names the pip command."""

    code = "LESTO-3020"
    domain = Domain.USER
    retryable = False


class KafkaUnavailableError(ConnectorError):
    """Kafka did not answer in time, or answered that it cannot do it now."""

    code = "LESTO-3021"


class KafkaRefusedError(ConnectorError):
    """Kafka refuses: not authorised, unknown topic or partition, a record too large."""

    code = "LESTO-3022"
    domain = Domain.USER
    retryable = False


class KafkaOffsetsLostError(ConnectorError):
    """Records that the job has not read yet are no longer in Kafka (retention, or a new topic)."""

    code = "LESTO-3023"
    retryable = False


class TransactionLostError(ConnectorError):
    """Kafka has aborted a transaction that belongs to a completed checkpoint: its data is lost."""

    code = "LESTO-3024"
    retryable = False


class ProducerFencedError(ConnectorError):
    """Another producer has taken over this writer's transactional id."""

    code = "LESTO-3025"


class TransactionTimedOutError(ConnectorError):
    """Kafka aborted a transaction before its checkpoint: the job restarts and writes it again."""

    code = "LESTO-3026"


class KafkaDeliveryError(ConnectorError):
    """Records could not be written to Kafka."""

    code = "LESTO-3027"


class SchemaRegistryError(ConnectorError):
    """The schema registry did not answer, or does not know a schema."""

    code = "LESTO-3028"


class SocketSourceError(LestoError):
    """A socket source cannot connect, or gets what are no texts."""

    code = "LESTO-3030"
    domain = Domain.EXTERNAL


class AsyncSinkError(LestoError):
    """A destination has refused a batch at every attempt."""

    code = "LESTO-3031"
    domain = Domain.EXTERNAL


class DatabaseError(ConnectorError):
    """A database is not there or does not answer."""

    code = "LESTO-3041"


class DatabaseRefusedError(ConnectorError):
    """A database refuses records: a constraint, a type, a statement that it does not take."""

    code = "LESTO-3042"
    domain = Domain.USER
    retryable = False


class UnknownConnectorError(ConnectorConfigError):
    """No connector of tables, or no format, has this name; the message lists those there are."""

    code = "LESTO-3050"


class UnknownTableOptionError(ConnectorConfigError):
    """A table's connector or format has no such option."""

    code = "LESTO-3051"


class MissingTableOptionError(ConnectorConfigError):
    """A table's connector or format needs an option that is not there."""

    code = "LESTO-3052"


class InvalidTableOptionError(ConnectorConfigError):
    """The value of a table's option cannot be read, or goes with none of the other options."""

    code = "LESTO-3053"


class UnsupportedTableUseError(ConnectorConfigError):
    """A table's connector or format cannot be used for this: read, written, looked up, bounded."""

    code = "LESTO-3054"
