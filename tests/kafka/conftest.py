"""One real broker for all tests of a session; each test has topics of its own."""

import itertools
import subprocess

import kafka_broker
import pytest

_numbers = itertools.count()


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/kafka/" in item.path.as_posix():
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def kafka_is_there():
    """Skip, and say what to install, on a machine without Java, Maven or confluent-kafka."""
    pytest.importorskip("confluent_kafka", reason="pip install 'lesto[kafka]'")
    try:
        why = kafka_broker.missing()
    except (OSError, subprocess.TimeoutExpired) as error:
        why = f"scripts/kafka: {error}"
    if why:
        pytest.skip(why)


@pytest.fixture(scope="session")
def broker(kafka_is_there):
    """A broker that tests share: they may not stop it."""
    with kafka_broker.KafkaBroker() as broker:
        yield broker


@pytest.fixture
def own_broker(kafka_is_there):
    """A broker that a test may kill and pause."""
    with kafka_broker.KafkaBroker() as broker:
        yield broker


@pytest.fixture
def topic(broker):
    """A new topic with two partitions."""
    return broker.create_topic(f"topic-{next(_numbers)}", 2)
