"""Names of PyFlink that Lesto does not have: importing one says so, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lesto.client.datastream.errors import NotSupportedError
from lesto.client.datastream.location import user_location

MISSING: Final[dict[str, str]] = {
    "AssignerWithPeriodicWatermarksWrapper": "use WatermarkStrategy",
    "ExternalizedCheckpointCleanup": "use ExternalizedCheckpointRetention, its name in Flink 2",
    "FsStateBackend": "use HashMapStateBackend and set_checkpoint_storage_dir, as in Flink 2",
    "MemoryStateBackend": "use HashMapStateBackend, as in Flink 2",
    "RocksDBStateBackend": "use EmbeddedRocksDBStateBackend, as in Flink 2",
    "TimeCharacteristic": "Flink 2 has removed it: leave it out, watermarks turn event time on",
}


def missing_names(module: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that knows PyFlink's names which are not there."""

    def find(name: str) -> Any:
        """Say what is missing.

        Raises:
            NotSupportedError: the name is PyFlink's.
            AttributeError: it is nobody's.
        """
        if name in MISSING:
            msg = f"Lesto has no {name}"
            raise NotSupportedError(msg, remedy=MISSING[name], location=user_location())
        msg = f"module '{module}' has no attribute {name!r}"
        raise AttributeError(msg)

    return find
