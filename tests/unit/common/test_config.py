"""Options: types, ranges, unknown keys, layers and their origins."""

from datetime import timedelta

import pytest

from lesto.common import options
from lesto.common.config import (
    ConfigOption,
    Configuration,
    IgnoredOptionWarning,
    InvalidOptionError,
    UnknownOptionError,
)
from lesto.common.config_loading import (
    ConfigurationFileError,
    DynamicPropertyError,
    load_configuration,
    variable_name,
)
from lesto.common.option_types import (
    MemorySize,
    format_value,
    parse_duration,
    parse_memory_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10 s", 10),
        ("5min", 300),
        ("5 m", 300),
        ("200", 0.2),
        (200, 0.2),
        ("1.5 h", 5400),
        ("1 d", 86400),
        ("250 us", 0.00025),
        ("PT10S", 10),
        ("P1DT2H", 93600),
        (timedelta(seconds=3), 3),
    ],
)
def test_durations_are_read_in_every_spelling_of_flink(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "s", "10 parsecs", "-1 s", "1 s 2", "P", "PT", True, "nan"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"not|unknown"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("256 kb", 262144), ("1g", 1 << 30), ("64mib", 64 << 20), ("17", 17), (5, 5)]
)
def test_sizes_are_powers_of_1024(text, size):
    assert parse_memory_size(text) == size


@pytest.mark.parametrize("text", ["1.5 gb", "lots", "", "-1", True])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="not"):
        parse_memory_size(text)


def test_every_default_is_read_back_from_its_own_text():
    for option in options.known_options().values():
        if option.default is not None:
            assert option.parse(format_value(option.default)) == option.default, option.key
            assert type(option.parse(format_value(option.default))) is type(option.default)


def test_every_option_is_documented_and_its_key_is_flinks_style():
    for key, option in options.known_options().items():
        assert option.description.endswith("."), key
        assert "." in key or key == "scheduler-mode"  # Flink's only one without a section
        assert " " not in key
        assert "__" not in key


def test_keys_aliases_and_variables_are_all_different():
    keys = [*options.known_options(), *options.known_aliases()]
    assert len(set(keys)) == len(keys)
    assert len({variable_name(key) for key in keys}) == len(keys)


def test_the_defaults_are_those_of_the_design():
    config = Configuration()
    assert config.get(options.CHECKPOINTING_INTERVAL) == timedelta(seconds=10)
    assert config.get(options.NUM_RETAINED_CHECKPOINTS) == 3
    assert config.get(options.TOLERABLE_FAILED_CHECKPOINTS) == 3
    assert config.get(options.BUFFER_TIMEOUT) == timedelta(milliseconds=5)
    assert (
        config.get(options.CHECKPOINT_RETENTION)
        is options.CheckpointRetention.RETAIN_ON_CANCELLATION
    )
    assert config.get(options.RESTART_STRATEGY) is options.RestartStrategyType.EXPONENTIAL_DELAY


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UnknownOptionError, match=r"did you mean 'parallelism\.default'"):
        Configuration().set("paralelism.default", 2)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("parallelism.default", "two", "a whole number, at least 1"),
        ("parallelism.default", 0, "below the minimum 1"),
        ("parallelism.default", True, "a whole number"),
        ("rest.port", 70000, "above the maximum 65535"),
        ("state.backend.type", "rockdb", "hashmap, rocksdb"),
        ("execution.checkpointing.interval", "10 parsecs", "'10 s'"),
        ("execution.checkpointing.incremental", "maybe", "true or false"),
        ("restart-strategy.exponential-delay.backoff-multiplier", "inf", "finite"),
        ("state.backend.rocksdb.cache-size", "lots", "'256 kb'"),
        ("log.level", "LOUD", "DEBUG, INFO"),
    ],
)
def test_a_wrong_value_says_what_is_accepted(key, value, said):
    with pytest.raises(InvalidOptionError) as caught:
        Configuration().set(key, value)
    assert said in str(caught.value)
    assert key in str(caught.value)


def test_a_wrong_secret_is_not_shown():
    option = ConfigOption("security.pin", int, 0, "A number.", secret=True)
    with pytest.raises(InvalidOptionError) as caught:
        option.parse("hunter2")
    assert "hunter2" not in str(caught.value)


def test_an_older_key_of_flink_sets_the_same_option():
    config = Configuration.from_dict(
        {"state.checkpoints.dir": "/data/chk", "state.backend": "hashmap"}
    )
    assert config.get(options.CHECKPOINT_DIR) == "/data/chk"
    assert config.to_dict() == {
        "execution.checkpointing.dir": "/data/chk",
        "state.backend.type": "hashmap",
    }


def test_flinks_keys_without_meaning_warn_and_are_left_out():
    config = Configuration()
    with pytest.warns(IgnoredOptionWarning, match=r"taskmanager\.memory\.process\.size"):
        config.set("taskmanager.memory.process.size", "4g")
    assert config.to_dict() == {}


def test_a_configuration_survives_the_wire():
    config = Configuration.from_dict(
        {
            "execution.checkpointing.interval": "1500 ms",
            "state.backend.rocksdb.cache-size": "12345678",
            "restart-strategy.type": "fixed-delay",
            "pipeline.global-job-parameters": {"day": "7", "who": "me"},
            "restart-strategy.exponential-delay.jitter-factor": 0.25,
        }
    )
    assert Configuration.from_dict(config.to_dict()) == config


def test_merge_prefers_the_other_and_leaves_both_alone():
    low = Configuration.from_dict({"parallelism.default": 2, "rest.port": 1})
    high = Configuration.from_dict({"parallelism.default": 4})
    merged = low.merge(high)
    assert (merged.get(options.PARALLELISM), merged.get(options.REST_PORT)) == (4, 1)
    assert low.get(options.PARALLELISM) == 2
    assert not high.contains(options.REST_PORT)


def test_pyflinks_spelling():
    config = Configuration()
    config.set_string("pipeline.name", "j").set_integer("parallelism.default", 3)
    config.set_boolean("execution.checkpointing.incremental", False)
    assert config.get_string("pipeline.name", "") == "j"
    assert config.get_integer("parallelism.default", 1) == 3
    assert config.get_boolean("execution.checkpointing.incremental", True) is False
    assert config.get_float("restart-strategy.exponential-delay.jitter-factor", 0.5) == 0.5
    assert config.key_set() == {
        "pipeline.name",
        "parallelism.default",
        "execution.checkpointing.incremental",
    }
    assert config.remove_config("pipeline.name")
    assert not config.contains_key("pipeline.name")


# ------------------------------------------------------------------------------------------ layers


def test_layers_win_in_order_and_say_where_a_value_is_from(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "parallelism.default: 2\n"
        "execution:\n  checkpointing:\n    interval: 3 s\n    num-retained: 5\n"
    )
    config = load_configuration(
        properties=["parallelism.default=8"],
        env={
            "LESTO_CONF_DIR": str(tmp_path),
            "LESTO_PARALLELISM__DEFAULT": "4",
            "LESTO_EXECUTION__CHECKPOINTING__INTERVAL": "7 s",
            "LESTO_DEBUG": "1",
            "LESTO_REST_PORT": "tcp://10.0.0.1:80",  # Kubernetes makes such variables
        },
    )
    assert config.get(options.PARALLELISM) == 8
    assert config.origin(options.PARALLELISM) == "-D parallelism.default"
    assert config.get(options.CHECKPOINTING_INTERVAL) == timedelta(seconds=7)
    assert config.origin(options.CHECKPOINTING_INTERVAL).startswith("environment LESTO_EXEC")
    assert config.get(options.NUM_RETAINED_CHECKPOINTS) == 5
    assert config.origin(options.NUM_RETAINED_CHECKPOINTS) == f"{file}:5"
    assert config.origin(options.REST_PORT) == "default"
    shown = {value.key: value for value in config.resolved()}
    assert shown["rest.port"].value == "8081"
    assert shown["execution.checkpointing.interval"].value == "7 s"


def test_properties_in_a_variable_are_a_layer_between_file_and_variables(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("rest.port: 1\nparallelism.default: 1\nlog.level: DEBUG\n")
    lines = "parallelism.default: 2\nrest:\n  port: 2\n"
    env = {"LESTO_PROPERTIES": lines, "LESTO_REST__PORT": "3"}
    config = load_configuration(file, env=env)
    assert config.get(options.REST_PORT) == 3
    assert config.get(options.PARALLELISM) == 2
    assert config.get(options.LOG_LEVEL) == "DEBUG"
    assert config.origin(options.PARALLELISM) == "LESTO_PROPERTIES:1"
    with pytest.raises(UnknownOptionError, match=r"LESTO_PROPERTIES:2.*") as caught:
        load_configuration(env={"LESTO_PROPERTIES": "rest.port: 2\nrest.prot: 2"})
    assert "rest.port" in str(caught.value)
    with pytest.raises(ConfigurationFileError, match="LESTO_PROPERTIES:1: not a mapping"):
        load_configuration(env={"LESTO_PROPERTIES": "rest.port=2"})


def test_the_token_may_be_in_a_file(tmp_path):
    file = tmp_path / "token"
    env = {"LESTO_TOKEN_FILE": str(file), "LESTO_PROPERTIES": "security.token: other"}
    with pytest.raises(ConfigurationFileError, match="cannot read the token"):
        load_configuration(env=env)
    file.write_text("\n")
    with pytest.raises(ConfigurationFileError, match="is empty"):
        load_configuration(env=env)
    file.write_text("s3cret\n")
    config = load_configuration(env=env)
    assert config.get(options.SECURITY_TOKEN) == "s3cret"
    assert config.origin(options.SECURITY_TOKEN) == "LESTO_TOKEN_FILE"


def test_toml_and_lists(tmp_path):
    file = tmp_path / "lesto.toml"
    file.write_text('[pipeline]\nname = "j"\n[pipeline.global-job-parameters]\nday = 7\n')
    config = load_configuration(file, env={})
    assert config.get(options.PIPELINE_NAME) == "j"
    assert config.get(options.GLOBAL_JOB_PARAMETERS) == {"day": "7"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("parallelism.default: [", "is not YAML"),
        ("- a\n- b\n", "not a mapping"),
        ("rest.port: 1\nrest:\n  port: 2\n", "config.yaml:3: 'rest.port' is set again"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, content, said):
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationFileError) as caught:
        load_configuration(file, env={})
    assert said in str(caught.value)


def test_a_wrong_key_in_a_file_is_located(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("# mine\nrest.prot: 1\n")
    with pytest.raises(UnknownOptionError) as caught:
        load_configuration(file, env={})
    assert caught.value.location == f"{file}:2"
    assert "did you mean 'rest.port'" in str(caught.value)


def test_a_missing_file_an_empty_folder_and_an_unknown_format(tmp_path):
    with pytest.raises(ConfigurationFileError, match="No such file"):
        load_configuration(tmp_path / "no.yaml", env={})
    with pytest.raises(ConfigurationFileError, match="LESTO_CONF_DIR"):
        load_configuration(env={"LESTO_CONF_DIR": str(tmp_path)})
    (tmp_path / "c.ini").write_text("")
    with pytest.raises(ConfigurationFileError, match="format"):
        load_configuration(tmp_path / "c.ini", env={})


def test_a_wrong_variable_and_a_property_without_value():
    with pytest.raises(UnknownOptionError, match="LESTO_REST__PORT"):
        load_configuration(env={"LESTO_REST__PROT": "1"})
    with pytest.raises(DynamicPropertyError, match="key=value"):
        load_configuration(properties=["rest.port"], env={})


def test_yaml_numbers_and_words_stay_as_written(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("pipeline.name: 010\nexecution.checkpointing.incremental: no\nrest.port: ~\n")
    config = load_configuration(file, env={})
    assert config.get(options.PIPELINE_NAME) == "010"
    assert config.get(options.INCREMENTAL_CHECKPOINTS) is False
    assert not config.contains(options.REST_PORT)


def test_secrets_are_redacted_in_every_listing():
    config = Configuration.from_dict({"security.token": "hunter2"})
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(list(config.resolved()))
    assert config.to_dict(redact=True) == {"security.token": "******"}
    assert config.to_dict() == {"security.token": "hunter2"}


def test_memory_size_formats_exactly():
    for size in (0, 1, 1023, 1024, 1536, 1 << 20, (1 << 30) + 1):
        assert parse_memory_size(format_value(MemorySize(size))) == size


def test_a_dict_in_the_place_of_a_configuration_is_named():
    with pytest.raises(TypeError, match="from_dict"):
        Configuration({"rest.port": 1})


def test_an_option_of_lesto_below_an_ignored_prefix_is_set():
    key = "taskmanager.network.memory.buffer-debloat.enabled"
    config = Configuration.from_dict({key: "false"})
    assert config.get(options.BUFFER_DEBLOAT_ENABLED) is False
