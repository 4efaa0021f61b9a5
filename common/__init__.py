"""The vocabulary every part shares: batches, types, time, key groups, configuration, errors.

The names of ``pyflink.common`` are importable from here. They load on first use, so that importing
``lesto.common`` (as each of its modules does) stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesto.common.config import ConfigOption as ConfigOption
    from lesto.common.config import Configuration as Configuration
    from lesto.common.elements import RowKind as RowKind
    from lesto.common.expressions import col as col
    from lesto.common.expressions import lit as lit
    from lesto.common.functions import OutputTag as OutputTag
    from lesto.common.functions import TimeDomain as TimeDomain
    from lesto.common.row import Row as Row
    from lesto.common.time import Duration as Duration
    from lesto.common.time import Instant as Instant
    from lesto.common.time import Time as Time
    from lesto.common.types import TypeInformation as TypeInformation
    from lesto.common.types import Types as Types
    from lesto.common.watermarks import TimestampAssigner as TimestampAssigner
    from lesto.common.watermarks import WatermarkGenerator as WatermarkGenerator
    from lesto.common.watermarks import WatermarkOutput as WatermarkOutput
    from lesto.common.watermarks import WatermarkStrategy as WatermarkStrategy

_HOME = {
    "ConfigOption": "config",
    "Configuration": "config",
    "Duration": "time",
    "Instant": "time",
    "OutputTag": "functions",
    "Row": "row",
    "RowKind": "elements",
    "Time": "time",
    "TimeDomain": "functions",
    "TimestampAssigner": "watermarks",
    "TypeInformation": "types",
    "Types": "types",
    "WatermarkGenerator": "watermarks",
    "WatermarkOutput": "watermarks",
    "WatermarkStrategy": "watermarks",
    "col": "expressions",
    "lit": "expressions",
}

#: Names that belong to the client, which lies above this package: found by name, never imported here.
_CLIENT = {
    "CompletableFuture": "job_client",
    "ExecutionConfig": "datastream.settings",
    "JobClient": "job_client",
    "JobExecutionResult": "job_client",
    "JobID": "job_client",
    "JobStatus": "job_client",
    "RestartStrategies": "datastream.settings",
    "Encoder": "",
    "SimpleStringSchema": "",
}

__all__ = [*sorted(_HOME), "CompletableFuture", "ExecutionConfig", "JobClient", "JobExecutionResult"]
__all__ += ["JobID", "JobStatus", "RestartStrategies"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _HOME:
        value = getattr(import_module(f"lesto.common.{_HOME[name]}"), name)
    elif _CLIENT.get(name):
        value = getattr(import_module(f"lesto.client.{_CLIENT[name]}"), name)
    elif name == "Encoder":
        value = import_module("lesto.connectors.files").Encoder
    else:
        msg = f"module 'lesto.common' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
