"""Names of PyFlink that Lesto does not have: importing one says so, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lesto.client.datastream.errors import NotSupportedError
from lesto.client.datastream.location import user_location

_STORAGE: Final = "name a directory: get_checkpoint_config().set_checkpoint_storage_dir(uri)"
_SCHEMA: Final = "files need none: FileSource(path, format='jsonl'), or 'csv', 'parquet', 'text'"
_FILES: Final = "the sources and sinks that are there: FileSource, FileSink"
_BACKEND: Final = "use HashMapStateBackend or EmbeddedRocksDBStateBackend"

MISSING: Final[dict[str, str]] = {
    "AssignerWithPeriodicWatermarksWrapper": "use WatermarkStrategy",
    "BulkFormat": _FILES,
    "BulkWriterFactory": "FileSink.for_bulk_format(path, 'parquet') writes Parquet",
    "CheckpointStorage": _STORAGE,
    "ConfigOptions": "Configuration.set_string(key, value) sets any option",
    "CustomCheckpointStorage": _STORAGE,
    "CustomStateBackend": _BACKEND,
    "ExternalizedCheckpointCleanup": "use ExternalizedCheckpointRetention, its name in Flink 2",
    "FileCompactStrategy": "write fewer files: lengthen the checkpoint interval",
    "FileCompactor": "write fewer files: lengthen the checkpoint interval",
    "FileEnumeratorProvider": _FILES,
    "FileSplitAssignerProvider": _FILES,
    "FileSystemCheckpointStorage": _STORAGE,
    "FlinkKafkaConsumer": "use KafkaSource, as in Flink 2",
    "FlinkKafkaProducer": "use KafkaSink, as in Flink 2",
    "FsStateBackend": "use HashMapStateBackend and set_checkpoint_storage_dir, as in Flink 2",
    "InputDependencyConstraint": "Flink 2 has removed it: leave it out",
    "JobManagerCheckpointStorage": _STORAGE,
    "KafkaRecordDeserializationSchema": "KafkaSource(metadata=[...]) adds key, offset and so on",
    "MemoryStateBackend": "use HashMapStateBackend, as in Flink 2",
    "PredefinedOptions": "RocksDB is tuned by Lesto: leave them out",
    "RestartStrategyConfiguration": "use RestartStrategies",
    "RocksDBStateBackend": "use EmbeddedRocksDBStateBackend, as in Flink 2",
    "RowFieldExtractorSchema": _SCHEMA,
    "StateTtlConfig": "register a timer, and clear the state in on_timer",
    "StreamTransformer": "apply a function to the stream",
    "StreamingFileSink": "use FileSink",
    "SupportsPreprocessing": "apply a function to the stream",
    "TimeCharacteristic": "Flink 2 has removed it: leave it out, watermarks turn event time on",
    "TypeSerializer": "declare a type: Types.PICKLED_BYTE_ARRAY() takes any Python value",
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
