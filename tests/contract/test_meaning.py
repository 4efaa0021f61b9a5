"""Names of PyFlink's common and settings mean what they mean there."""

from datetime import timedelta
from io import BytesIO

import pyarrow as pa
import pytest

from lesto.client.datastream.no_meaning import NoMeaningWarning
from lesto.common import ConfigOptions, Configuration, RestartStrategies, Types
from lesto.common.options import StateBackendType
from lesto.common.serializer import VoidNamespaceSerializer, void
from lesto.common.typeinfo import ExternalTypeInfo, LocalTimeTypeInfo, SqlTimeTypeInfo
from lesto.datastream import (
    EmbeddedRocksDBStateBackend,
    FileSystemCheckpointStorage,
    MemorySize,
    PredefinedOptions,
    SlotSharingGroup,
    StreamExecutionEnvironment,
)
from lesto.datastream.window import (
    CountWindow,
    CountWindowSerializer,
    GlobalWindow,
    GlobalWindowSerializer,
    TimeWindow,
    TimeWindowSerializer,
)


@pytest.fixture
def env():
    return StreamExecutionEnvironment.get_execution_environment()


@pytest.mark.parametrize(
    ("made", "arrow"),
    [
        (SqlTimeTypeInfo.DATE(), pa.date32()),
        (SqlTimeTypeInfo.TIMESTAMP(), pa.timestamp("us")),
        (LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_TIME), pa.time64("us")),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), pa.binary()),
        (Types.BASIC_ARRAY(Types.INT()), pa.list_(pa.int32())),
        (ExternalTypeInfo(Types.DOUBLE()), pa.float64()),
        (Types.MAP(Types.STRING(), Types.LONG()), pa.map_(pa.string(), pa.int64())),
        (Types.TUPLE([Types.BIG_INT()]), None),
    ],
)
def test_types_have_their_columns(made, arrow):
    assert made.to_arrow() == arrow
    assert not made.need_conversion()
    assert made.from_internal_type(made.to_internal_type(7)) == 7


def test_array_kinds_are_different_types_of_equal_columns():
    arrays = [Types.PRIMITIVE_ARRAY, Types.BASIC_ARRAY, Types.OBJECT_ARRAY, Types.LIST]
    made = [make(Types.LONG()) for make in arrays]
    assert len(set(made)) == len(made)
    assert {m.to_arrow() for m in made} == {pa.list_(pa.int64())}


def test_options_of_a_program_have_types_and_defaults():
    option = ConfigOptions.key("app.ratio").double_type().default_value(0.5)
    assert Configuration().get(option) == 0.5
    assert ConfigOptions.key("app.name").string_type().no_default_value().default is None


def test_configurations_give_bytes_and_texts():
    config = Configuration()
    config.set_bytearray("pipeline.name", bytearray(b"job"))
    assert config.get_bytearray("pipeline.name", bytearray()) == b"job"
    target = {}
    config.add_all_to_dict(target)
    assert target == {"pipeline.name": "job"}
    assert Configuration.parse_list_value("") == []


def test_restart_strategies_tell_their_numbers(env):
    fixed = RestartStrategies.fixed_delay_restart(3, 2_000)
    assert isinstance(fixed, RestartStrategies.FixedDelayRestartStrategyConfiguration)
    assert fixed.get_restart_attempts() == 3
    assert fixed.get_delay_between_attempts_interval() == timedelta(seconds=2)
    rate = RestartStrategies.failure_rate_restart(5, timedelta(minutes=1), 100)
    assert (rate.get_max_failure_rate(), rate.get_failure_interval()) == (5, timedelta(minutes=1))
    assert fixed != rate
    env.set_restart_strategy(fixed)
    assert env.get_configuration().get_string("restart-strategy.type", "") == "fixed-delay"


def test_checkpoint_storage_is_a_directory(env, tmp_path):
    checkpoints = env.get_checkpoint_config()
    checkpoints.set_checkpoint_storage(FileSystemCheckpointStorage(str(tmp_path)))
    assert checkpoints.get_checkpoint_storage().get_checkpoint_path() == str(tmp_path)


def test_rocksdb_keeps_what_it_is_told_and_says_what_it_ignores(env):
    backend = EmbeddedRocksDBStateBackend(True)
    with pytest.warns(NoMeaningWarning, match="set_predefined_options changes nothing"):
        backend.set_predefined_options(PredefinedOptions.FLASH_SSD_OPTIMIZED)
    assert backend.get_predefined_options() is PredefinedOptions.FLASH_SSD_OPTIMIZED
    assert backend.is_incremental_checkpoints_enabled()
    env.set_state_backend(backend)
    assert StateBackendType.ROCKSDB in env.get_configuration()._values.values()


def test_resources_of_slot_sharing_groups_are_kept():
    group = (
        SlotSharingGroup.builder("g")
        .set_cpu_cores(1.5)
        .set_task_heap_memory_mb(64)
        .set_managed_memory(MemorySize.of_mebi_bytes(1))
        .set_external_resource("gpu", 1)
        .build()
    )
    assert (group.get_name(), group.get_cpu_cores()) == ("g", 1.5)
    assert group.get_task_heap_memory().get_kibi_bytes() == 64 << 10
    assert group.get_external_resources() == {"gpu": 1.0}
    assert MemorySize(1) < MemorySize(2) <= MemorySize(2)
    assert group != SlotSharingGroup("g")


@pytest.mark.parametrize(
    ("serializer", "value"),
    [
        (TimeWindowSerializer(), TimeWindow(-5, 10)),
        (CountWindowSerializer(), CountWindow(7)),
        (GlobalWindowSerializer(), GlobalWindow()),
        (VoidNamespaceSerializer(), void),
    ],
)
def test_serializers_read_what_they_write(serializer, value):
    out = BytesIO()
    serializer.serialize(value, out)
    assert serializer.deserialize(BytesIO(out.getvalue())) == value
    assert serializer == type(serializer)()
