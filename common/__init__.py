"""The vocabulary every part shares: batches, types, time, key groups, configuration, errors.

The names of ``pyflink.common`` are importable from here. They load on first use, so that importing
``lesto.common`` (as each of its modules does) stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesto.common.config import ConfigOption as ConfigOption
    from lesto.common.config import Configuration as Configuration
    from lesto.common.config_options import ConfigOptions as ConfigOptions
    from lesto.common.elements import RowKind as RowKind
    from lesto.common.expressions import col as col
    from lesto.common.expressions import lit as lit
    from lesto.common.functions import OutputTag as OutputTag
    from lesto.common.input_dependency_constraint import (
        InputDependencyConstraint as InputDependencyConstraint,
    )
    from lesto.common.row import Row as Row
    from lesto.common.serializer import TypeSerializer as TypeSerializer
    from lesto.common.time import Duration as Duration
    from lesto.common.time import Instant as Instant
    from lesto.common.time import Time as Time
    from lesto.common.time import TimeDomain as TimeDomain
    from lesto.common.types import TypeInformation as TypeInformation
    from lesto.common.types import Types as Types
    from lesto.common.watermarks import TimestampAssigner as TimestampAssigner
    from lesto.common.watermarks import WatermarkGenerator as WatermarkGenerator
    from lesto.common.watermarks import WatermarkOutput as WatermarkOutput
    from lesto.common.watermarks import WatermarkStrategy as WatermarkStrategy

_HOME = {
    "ConfigOption": "config",
    "ConfigOptions": "config_options",
    "Configuration": "config",
    "Duration": "time",
    "InputDependencyConstraint": "input_dependency_constraint",
    "Instant": "time",
    "OutputTag": "functions",
    "Row": "row",
    "RowKind": "elements",
    "Time": "time",
    "TimeDomain": "time",
    "TimestampAssigner": "watermarks",
    "TypeInformation": "types",
    "TypeSerializer": "serializer",
    "Types": "types",
    "WatermarkGenerator": "watermarks",
    "WatermarkOutput": "watermarks",
    "WatermarkStrategy": "watermarks",
    "col": "expressions",
    "lit": "expressions",
}

#: Names of rooms above this one: found by name on first use, never imported from here.
_ABOVE = {
    "AvroRowDeserializationSchema": "lesto.connectors.formats.avro",
    "AvroRowSerializationSchema": "lesto.connectors.formats.avro",
    "ByteArraySchema": "lesto.connectors.formats.raw",
    "CompletableFuture": "lesto.client.job_client",
    "CsvRowDeserializationSchema": "lesto.connectors.formats.csv",
    "CsvRowSerializationSchema": "lesto.connectors.formats.csv",
    "DeserializationSchema": "lesto.connectors.formats",
    "Encoder": "lesto.connectors.files",
    "ExecutionConfig": "lesto.client.datastream.settings",
    "JobClient": "lesto.client.job_client",
    "JobExecutionResult": "lesto.client.job_client",
    "JobID": "lesto.client.job_client",
    "JobStatus": "lesto.client.job_client",
    "JsonRowDeserializationSchema": "lesto.connectors.formats.json",
    "JsonRowSerializationSchema": "lesto.connectors.formats.json",
    "RestartStrategies": "lesto.client.datastream.settings",
    "RestartStrategyConfiguration": "lesto.client.datastream.settings",
    "SerializationSchema": "lesto.connectors.formats",
    "SimpleStringSchema": "lesto.connectors.formats.raw",
}

__all__ = [
    "AvroRowDeserializationSchema",
    "AvroRowSerializationSchema",
    "ByteArraySchema",
    "CompletableFuture",
    "ConfigOption",
    "ConfigOptions",
    "Configuration",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "DeserializationSchema",
    "Duration",
    "Encoder",
    "ExecutionConfig",
    "InputDependencyConstraint",
    "Instant",
    "JobClient",
    "JobExecutionResult",
    "JobID",
    "JobStatus",
    "JsonRowDeserializationSchema",
    "JsonRowSerializationSchema",
    "OutputTag",
    "RestartStrategies",
    "RestartStrategyConfiguration",
    "Row",
    "RowKind",
    "SerializationSchema",
    "SimpleStringSchema",
    "Time",
    "TimeDomain",
    "TimestampAssigner",
    "TypeInformation",
    "TypeSerializer",
    "Types",
    "WatermarkGenerator",
    "WatermarkOutput",
    "WatermarkStrategy",
    "col",
    "lit",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _HOME:
        value = getattr(import_module(f"lesto.common.{_HOME[name]}"), name)
    elif name in _ABOVE:
        value = getattr(import_module(_ABOVE[name]), name)
    elif name.startswith("_"):
        msg = f"module '{__name__}' has no attribute {name!r}"
        raise AttributeError(msg)
    else:
        missing = import_module("lesto.client.datastream.missing").missing_names
        return missing(__name__)(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
