"""The only module that touches ``confluent_kafka``: clients from properties, errors by name."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any, Final

from lesto.common.logs import get_logger
from lesto.connectors.errors import (
    ConnectorConfigError,
    ConnectorError,
    KafkaRefusedError,
    KafkaUnavailableError,
    MissingExtraError,
)
from lesto.connectors.kafka.sasl import Mechanism, Plain, Scram
from lesto.connectors.kafka.transactions import TransactionClient
from lesto.connectors.kafka.wire import Security

logger = get_logger("lesto.connectors.kafka")

#: Properties of the Java client that mean nothing here: jobs that move over may keep them.
_JAVA_ONLY: Final = frozenset(
    {"key.serializer", "value.serializer", "key.deserializer", "value.deserializer"}
)
_CONSUMER_ONLY: Final = frozenset(
    {
        "group.id",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "isolation.level",
        "auto.offset.reset",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "fetch.wait.max.ms",
        "fetch.queue.backoff.ms",
        "max.partition.fetch.bytes",
        "fetch.message.max.bytes",
        "fetch.max.bytes",
        "fetch.min.bytes",
        "check.crcs",
    }
)
DEFAULT_PORT: Final = 9092


def library() -> Any:
    """The ``confluent_kafka`` package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import confluent_kafka
    except ImportError as error:
        msg = "Kafka needs the package confluent-kafka, which is not installed"
        raise MissingExtraError(msg, remedy="pip install 'lesto[kafka]'") from error
    return confluent_kafka


#: An error that a client repeats while a broker is away is logged this often, in seconds.
LOG_EVERY_S: Final = 10.0
_logged: dict[int, float] = {}


def _log(error: Any) -> None:
    now = time.monotonic()
    if now - _logged.get(error.code(), -LOG_EVERY_S) >= LOG_EVERY_S:
        _logged[error.code()] = now
        logger.warning("kafka.client", error=str(error))


#: Errors come through calls and callbacks; librdkafka's own lines would go to standard error.
_QUIET: Final[dict[str, Any]] = {
    "error_cb": _log,
    "log_level": 2,
    "log.connection.close": False,
    # A broker that comes back is noticed soon (librdkafka waits for up to ten seconds).
    "reconnect.backoff.max.ms": 1_000,
}


def client_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that librdkafka gets."""
    kept = {k: v for k, v in properties.items() if k not in _JAVA_ONLY}
    # Java's clients take both spellings of these.
    if "sasl.mechanism" in kept:
        kept["sasl.mechanisms"] = kept.pop("sasl.mechanism")
    return kept


def make_consumer(properties: Mapping[str, Any]) -> Any:
    """A consumer.

    Raises:
        ConnectorConfigError: a property that librdkafka does not take.
    """
    return _make("Consumer", properties)


def make_producer(properties: Mapping[str, Any]) -> Any:
    """A producer.

    Raises:
        ConnectorConfigError: a property that librdkafka does not take.
    """
    return _make("Producer", properties)


def admin_library() -> Any:
    """The package's part for administration."""
    library()
    from confluent_kafka import admin

    return admin


def make_admin(properties: Mapping[str, Any]) -> Any:
    """A client for questions about topics, with a consumer's properties.

    Raises:
        ConnectorConfigError: a property that librdkafka does not take.
    """
    kafka, admin = library(), admin_library()
    # librdkafka logs a warning for each property of a consumer that a producer is given.
    kept = {k: v for k, v in client_properties(properties).items() if k not in _CONSUMER_ONLY}
    try:
        return admin.AdminClient({**_QUIET, **kept})
    except kafka.KafkaException as error:
        raise _refused(error) from error


def _refused(error: Any) -> ConnectorConfigError:
    msg = f"Kafka's client refuses a property: {error.args[0].str()}"
    return ConnectorConfigError(msg, remedy="properties are librdkafka's: see its CONFIGURATION.md")


def _make(kind: str, properties: Mapping[str, Any]) -> Any:
    kafka = library()
    try:
        return getattr(kafka, kind)({**_QUIET, **client_properties(properties)})
    except kafka.KafkaException as error:
        raise _refused(error) from error


def named(error: Any, what: str) -> ConnectorError:
    """A ``KafkaError`` (or the exception around it) as an error of ours."""
    kafka = library()
    if isinstance(error, kafka.KafkaException):
        error = error.args[0]
    code, text = error.code(), error.str()
    refused = {
        kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
        kafka.KafkaError._UNKNOWN_TOPIC,
        kafka.KafkaError._UNKNOWN_PARTITION,
        kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED,
        kafka.KafkaError.GROUP_AUTHORIZATION_FAILED,
        kafka.KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        kafka.KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        kafka.KafkaError.SASL_AUTHENTICATION_FAILED,
        kafka.KafkaError._AUTHENTICATION,
        kafka.KafkaError.MSG_SIZE_TOO_LARGE,
        kafka.KafkaError.INVALID_TRANSACTION_TIMEOUT,
        kafka.KafkaError.TOPIC_EXCEPTION,
    }
    msg = f"{what}: {text} ({error.name()})"
    if code == kafka.KafkaError.INVALID_TRANSACTION_TIMEOUT:
        return KafkaRefusedError(
            msg,
            remedy="lower transaction.timeout.ms, or raise transaction.max.timeout.ms of the"
            " brokers (15 minutes unless set)",
        )
    if code in refused:
        return KafkaRefusedError(msg, remedy="check the topic's name, its limits and the ACLs")
    return KafkaUnavailableError(
        msg, remedy="are the brokers of bootstrap.servers up and reachable?"
    )


def transaction_client(properties: Mapping[str, Any], deadline_s: float) -> TransactionClient:
    """A client for transactions with the same brokers and security as librdkafka's.

    Raises:
        ConnectorConfigError: a security protocol or mechanism that it does not speak.
    """
    servers = [_address(s) for s in str(properties["bootstrap.servers"]).split(",") if s.strip()]
    return TransactionClient(servers, security(properties), deadline_s)


def _address(server: str) -> tuple[str, int]:
    host, _, port = server.strip().rpartition(":")
    if not host:
        return server.strip(), DEFAULT_PORT
    if not port.isdigit():
        msg = f"'{server}' in bootstrap.servers is not host:port"
        raise ConnectorConfigError(msg)
    return host.strip("[]"), int(port)


def security(properties: Mapping[str, Any]) -> Security:
    """TLS and SASL from librdkafka's properties.

    Raises:
        ConnectorConfigError: what is not supported for exactly-once.
    """
    protocol = str(properties.get("security.protocol", "plaintext")).lower()
    if protocol not in {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"}:
        msg = f"security.protocol '{protocol}' is not known"
        raise ConnectorConfigError(msg)
    return Security(
        _tls(properties) if protocol.endswith("ssl") else None,
        _sasl(properties) if protocol.startswith("sasl") else None,
    )


def _tls(properties: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=properties.get("ssl.ca.location"))
    if "ssl.certificate.location" in properties:
        context.load_cert_chain(
            properties["ssl.certificate.location"],
            properties.get("ssl.key.location"),
            properties.get("ssl.key.password"),
        )
    if str(properties.get("ssl.endpoint.identification.algorithm", "https")) == "none":
        context.check_hostname = False
    if str(properties.get("enable.ssl.certificate.verification", "true")).lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _sasl(properties: Mapping[str, Any]) -> Mechanism:
    name = str(properties.get("sasl.mechanisms", properties.get("sasl.mechanism", "GSSAPI")))
    user = str(properties.get("sasl.username", ""))
    password = str(properties.get("sasl.password", ""))
    match name.upper():
        case "PLAIN":
            return Plain(user, password)
        case "SCRAM-SHA-256":
            return Scram("sha256", user, password)
        case "SCRAM-SHA-512":
            return Scram("sha512", user, password)
    msg = f"exactly-once to Kafka does not speak SASL {name}"
    raise ConnectorConfigError(
        msg, remedy="use PLAIN or SCRAM, mutual TLS, or DeliveryGuarantee.AT_LEAST_ONCE"
    )
