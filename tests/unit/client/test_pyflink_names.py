"""PyFlink's names and parameter names are the contract (tests/unit/client/pyflink_names.json,
PyFlink 2.1).
"""

import importlib
import inspect
import json
from pathlib import Path

import pytest

from lesto.client.datastream.errors import NotSupportedError
from lesto.client.datastream.missing import MISSING

NAMES = json.loads((Path(__file__).parent / "pyflink_names.json").read_text())

#: What Lesto leaves out on purpose, each with its reason.
LEFT_OUT = {
    "get_window_serializer": "windows are encoded by the state backend",
    "get_java_output_tag": "no JVM",
    "set_options": "RocksDB is tuned by Lesto",
    "get_options": "RocksDB is tuned by Lesto",
    "get_predefined_options": "RocksDB is tuned by Lesto",
    "get_number_of_transfer_threads": "uploads are scheduled by Lesto",
    "set_number_of_transfer_threads": "uploads are scheduled by Lesto",
    "parse_list_value": "Configuration parses",
    "get_bytearray": "options are typed",
    "set_bytearray": "options are typed",
    "add_all": "keys have no prefixes here",
    "add_all_to_dict": "to_dict does it",
    "register_next_fire_timestamp": "internal to the trigger",
}


def _parameters(function):
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


@pytest.mark.parametrize("entry", sorted(NAMES))
def test_class_has_pyflinks_methods_with_their_parameters(entry):
    module, _, name = entry.partition(":")
    cls = getattr(importlib.import_module(module), name)
    problems = []
    for method, wanted in NAMES[entry].items():
        if LEFT_OUT.get(method):
            continue
        found = getattr(cls, method, None)
        if found is None:
            problems.append(f"{method} is missing")
            continue
        if method == "__init__":
            continue
        actual = [p for p in _parameters(found) if p != "self"]
        if actual[: len(wanted)] != wanted:
            problems.append(f"{method}{tuple(actual)}: PyFlink has {tuple(wanted)}")
    assert not problems, f"{entry}: " + "; ".join(problems)


@pytest.mark.parametrize(
    "name",
    [
        "DataStream",
        "KeyedStream",
        "WindowedStream",
        "StreamExecutionEnvironment",
        "MapFunction",
        "FlatMapFunction",
        "FilterFunction",
        "ReduceFunction",
        "AggregateFunction",
        "ProcessFunction",
        "KeyedProcessFunction",
        "ProcessWindowFunction",
        "WindowFunction",
        "RuntimeContext",
        "TimerService",
        "CheckpointingMode",
        "CheckpointConfig",
        "ExternalizedCheckpointRetention",
        "HashMapStateBackend",
        "EmbeddedRocksDBStateBackend",
        "RuntimeExecutionMode",
        "Window",
        "TimeWindow",
        "GlobalWindow",
        "WindowAssigner",
        "TriggerResult",
        "Trigger",
        "TimeDomain",
        "KeySelector",
        "Partitioner",
        "OutputTag",
        "SlotSharingGroup",
    ],
)
def test_datastream_exports(name):
    assert hasattr(importlib.import_module("lesto.datastream"), name)


@pytest.mark.parametrize(
    "name",
    [
        "Configuration",
        "Types",
        "TypeInformation",
        "Row",
        "RowKind",
        "WatermarkStrategy",
        "Duration",
        "Instant",
        "Time",
        "JobClient",
        "JobExecutionResult",
        "JobID",
        "JobStatus",
        "RestartStrategies",
        "Encoder",
    ],
)
def test_common_exports(name):
    assert getattr(importlib.import_module("lesto.common"), name) is not None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("lesto.common", "SimpleStringSchema"),
        ("lesto.common.serialization", "SimpleStringSchema"),
        ("lesto.common.serialization", "SerializationSchema"),
        ("lesto.datastream.connectors.base", "DeliveryGuarantee"),
        ("lesto.datastream.connectors.kafka", "KafkaSource"),
        ("lesto.datastream.connectors.kafka", "KafkaSinkBuilder"),
        ("lesto.datastream.connectors.kafka", "KafkaOffsetsInitializer"),
        ("lesto.datastream.connectors.kafka", "KafkaOffsetResetStrategy"),
        ("lesto.datastream.connectors.kafka", "KafkaTopicPartition"),
        ("lesto.datastream.connectors.kafka", "KafkaRecordSerializationSchema"),
        ("lesto.datastream.connectors.kafka", "KafkaTopicSelector"),
        ("lesto.datastream.formats.json", "JsonRowDeserializationSchema"),
        ("lesto.datastream.formats.json", "JsonRowSerializationSchema"),
        ("lesto.datastream.formats.csv", "CsvRowDeserializationSchema"),
        ("lesto.datastream.formats.avro", "AvroRowDeserializationSchema"),
        ("lesto.datastream.formats.avro", "AvroRowSerializationSchema"),
    ],
)
def test_kafka_and_format_exports(module, name):
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "name", ["BucketAssigner", "FileSinkBuilder", "FileSourceBuilder", "RollingPolicy"]
)
def test_file_exports(name):
    assert hasattr(importlib.import_module("lesto.datastream.connectors.file_system"), name)


@pytest.mark.parametrize(
    "statement",
    [
        "from lesto.common import InputDependencyConstraint",
        "from lesto.datastream import ConnectedStreams",
        "from lesto.datastream import TimeCharacteristic",
        "from lesto.datastream.connectors.file_system import StreamingFileSink",
        "from lesto.datastream.functions import AsyncFunction",
        "from lesto.datastream.state import StateTtlConfig",
    ],
)
def test_a_name_that_is_not_there_says_so_and_where(statement):
    with pytest.raises(NotSupportedError) as caught:
        exec(compile(f"\n\n{statement}\n", "ported.py", "exec"), {})
    error = caught.value
    assert error.message == f"Lesto has no {statement.rpartition(' ')[2]}"
    assert error.location == "ported.py:3"
    assert error.remedy


def test_names_are_either_there_or_missing():
    modules = ["lesto.common", "lesto.datastream", "lesto.datastream.connectors.file_system"]
    for name in modules:
        assert not MISSING.keys() & set(importlib.import_module(name).__all__)
    with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
        exec("from lesto.datastream import Nonsense", {})
    assert not hasattr(importlib.import_module("lesto.common"), "__wrapped__")
