"""What is not there says so by name, with what to do instead; what means nothing warns once."""

import importlib

import pytest

from lesto.client.datastream import no_meaning
from lesto.client.datastream.errors import NotSupportedError
from lesto.client.datastream.missing import MISSING


def run(statement):
    exec(compile(f"\n\n{statement}\n", "ported.py", "exec"), {})


@pytest.mark.parametrize(
    "statement",
    [
        "from lesto.common import AssignerWithPeriodicWatermarksWrapper",
        "from lesto.datastream import TimeCharacteristic",
        "from lesto.datastream.connectors.pulsar import PulsarSource; PulsarSource.builder",
        "from lesto.datastream.connectors.rabbitmq import RMQSource; RMQSource('q')",
        "from lesto.datastream.connectors import StreamingFileSink; StreamingFileSink()",
        "from lesto.datastream.connectors.kafka import FlinkKafkaConsumer as K; K('t', None, {})",
    ],
)
def test_what_is_not_there_says_so_and_where(statement):
    with pytest.raises(NotSupportedError) as caught:
        run(statement)
    error = caught.value
    assert error.message.startswith("Lesto has no ")
    assert error.location == "ported.py:3"
    assert error.remedy


def test_a_name_of_nobody_is_an_import_error():
    with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
        run("from lesto.datastream import Nonsense")
    assert not hasattr(importlib.import_module("lesto.common"), "__wrapped__")


@pytest.mark.parametrize(
    "module", ["lesto.common", "lesto.datastream", "lesto.datastream.connectors.file_system"]
)
def test_names_are_either_there_or_missing(module):
    assert not MISSING.keys() & set(importlib.import_module(module).__all__)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("env.add_jars('file:///a.jar')", "add_jars changes nothing in Lesto"),
        ("env.add_classpaths('file:///a')", "add_classpaths changes nothing in Lesto"),
        ("env.get_config().enable_force_kryo()", "enable_force_kryo changes nothing in Lesto"),
    ],
)
def test_what_means_nothing_without_a_jvm_warns_once(call, told, monkeypatch):
    monkeypatch.setattr(no_meaning, "_told", set())
    build = "from lesto.datastream import StreamExecutionEnvironment as E; "
    build += "env = E.get_execution_environment()\n"
    with pytest.warns(no_meaning.NoMeaningWarning, match=told) as caught:
        run(build + call + "\n" + call)
    assert len(caught) == 1
    assert caught[0].filename == "ported.py"
