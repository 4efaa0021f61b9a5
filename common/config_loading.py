"""Builds the configuration of a process from its layers, the later winning.

defaults < file (``config.yaml`` or ``config.toml`` of ``LESTO_CONF_DIR``, or ``--config``)
< ``LESTO_PROPERTIES`` < environment < ``-D key=value``.

``LESTO_PROPERTIES`` holds lines of YAML as the file does, like FLINK_PROPERTIES of Flink's images.
``LESTO_TOKEN_FILE`` names a file with ``security.token``, as secrets are mounted in containers.
A variable is the key in upper case after ``LESTO_``, with ``__`` for a dot and ``_`` for a dash:
``LESTO_EXECUTION__CHECKPOINTING__INTERVAL="2 s"``. Variables without ``__`` are not options.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lesto.common.config import Configuration, find_option
from lesto.common.errors import Domain, LestoError, did_you_mean
from lesto.common.option_types import InvalidOptionError, UnknownOptionError
from lesto.common.options import known_aliases, known_options

CONF_DIR_VARIABLE = "LESTO_CONF_DIR"
PROPERTIES_VARIABLE = "LESTO_PROPERTIES"
TOKEN_FILE_VARIABLE = "LESTO_TOKEN_FILE"
FILE_NAMES = ("config.yaml", "config.yml", "config.toml")
ENV_PREFIX = "LESTO_"


class ConfigurationFileError(LestoError):
    """A configuration file that is missing, unreadable or malformed."""

    code = "LESTO-1003"
    domain = Domain.USER
    retryable = False


class DynamicPropertyError(LestoError):
    """A ``-D`` argument that is not ``key=value``."""

    code = "LESTO-1004"
    domain = Domain.USER
    retryable = False


def load_configuration(
    file: str | Path | None = None,
    properties: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Configuration:
    """Return the layered configuration, each value with its origin.

    Args:
        file: a YAML or TOML file; by default the one in ``LESTO_CONF_DIR``, if any.
        properties: ``key=value`` texts, as given with ``-D``.
        env: variables; by default the process's.

    Raises:
        ConfigurationFileError: the file, LESTO_PROPERTIES or the file of the token is missing or
            malformed.
        DynamicPropertyError: a property has no ``=``.
        UnknownOptionError: a key is unknown; the message says where it stands.
        InvalidOptionError: a value does not fit; the message says where it stands.
    """
    env = os.environ if env is None else env
    config = Configuration()
    path = Path(file) if file else _default_file(env)
    if path:
        for key, value, origin in _read_file(path):
            _set(config, key, value, origin)
    for key, value, origin in _read_yaml(PROPERTIES_VARIABLE, env.get(PROPERTIES_VARIABLE, "")):
        _set(config, key, value, origin)
    if token_file := env.get(TOKEN_FILE_VARIABLE):
        _set(config, "security.token", _read_token(token_file), TOKEN_FILE_VARIABLE)
    for variable, value in sorted(env.items()):
        if variable.startswith(ENV_PREFIX) and "__" in variable:
            _set(config, _variable_key(variable), value, f"environment {variable}")
    for item in properties:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            msg = f"-D {item}: no key=value"
            raise DynamicPropertyError(
                msg, remedy="Write it like -D execution.checkpointing.interval=2s."
            )
        _set(config, key.strip(), value.strip(), f"-D {key.strip()}")
    return config


def variable_name(key: str) -> str:
    """Return the environment variable that sets an option.

    >>> variable_name("execution.buffer-timeout.interval")
    'LESTO_EXECUTION__BUFFER_TIMEOUT__INTERVAL'
    """
    return ENV_PREFIX + key.upper().replace(".", "__").replace("-", "_")


def _set(config: Configuration, key: str, value: Any, origin: str) -> None:
    try:
        config.set(key, value, origin=origin)
    except (UnknownOptionError, InvalidOptionError) as error:
        raise type(error)(error.message, remedy=error.remedy, location=origin) from None


def _variable_key(variable: str) -> str:
    names = {variable_name(key): key for key in (*known_options(), *known_aliases())}
    if variable not in names:
        msg = f"environment variable {variable} names no option{did_you_mean(variable, names)}"
        raise UnknownOptionError(
            msg,
            remedy="Correct or unset it; the variable is LESTO_ and the key in upper case, with "
            "__ for a dot and _ for a dash.",
        )
    return find_option(names[variable]).key


def _default_file(env: Mapping[str, str]) -> Path | None:
    folder = env.get(CONF_DIR_VARIABLE)
    if not folder:
        return None
    found = [Path(folder) / name for name in FILE_NAMES if (Path(folder) / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"{CONF_DIR_VARIABLE} has several configuration files: {[f.name for f in found]}"
        raise ConfigurationFileError(msg, remedy="Keep one of them.")
    msg = f"{CONF_DIR_VARIABLE}={folder} has no {' or '.join(FILE_NAMES)}"
    raise ConfigurationFileError(msg, remedy="Create one, or unset the variable.")


def _read_token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the token in {path}: {error}"
        raise ConfigurationFileError(
            msg, remedy=f"Check the path in {TOKEN_FILE_VARIABLE} and its permissions."
        ) from None
    if not token:
        msg = f"the file of the token, {path}, is empty"
        raise ConfigurationFileError(msg, remedy="Write a random text to it.")
    return token


def _read_file(path: Path) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value and origin of every setting; sections may be nested or dotted."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the configuration file {path}: {error}"
        raise ConfigurationFileError(msg, remedy="Check the path and its permissions.") from None
    if path.suffix == ".toml":
        yield from _read_toml(path, text)
    elif path.suffix in {".yaml", ".yml"}:
        yield from _read_yaml(str(path), text)
    else:
        msg = f"cannot tell the format of {path}"
        raise ConfigurationFileError(msg, remedy="Name it .yaml or .toml.")


def _read_toml(path: Path, text: str) -> Iterator[tuple[str, Any, str]]:
    import tomllib

    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not TOML: {error}"
        raise ConfigurationFileError(msg, remedy="Correct the file.") from None
    for key, value in _flatten(tree, ""):
        yield key, value, str(path)


def _flatten(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and not _is_map_option(key):
            yield from _flatten(value, key + ".")
        else:
            yield key, value


def _is_map_option(key: str) -> bool:
    option = known_options().get(key)
    return option is not None and option.type is dict


def _read_yaml(path: str, text: str) -> Iterator[tuple[str, Any, str]]:
    if not text:
        return
    import yaml

    try:
        # Nodes rather than values: scalars stay as written ('10:30' is no base-60 number, 'on' no
        # truth value until an option says so), duplicates show, and every setting has a line.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        msg = f"{path} is not YAML: {error}"
        raise ConfigurationFileError(msg, remedy="Correct the file.") from None
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        msg = f"{path}:{root.start_mark.line + 1}: not a mapping of keys to values"
        raise ConfigurationFileError(msg, remedy="Write 'key: value' lines.")
    seen: dict[str, int] = {}
    for key, value, line in _walk_yaml(root, ""):
        if key in seen:
            msg = f"{path}:{line}: '{key}' is set again; it was set on line {seen[key]}"
            raise ConfigurationFileError(msg, remedy="Keep one of them.")
        seen[key] = line
        if value is not None:
            yield key, value, f"{path}:{line}"


def _walk_yaml(node: Any, prefix: str) -> Iterator[tuple[str, Any, int]]:
    import yaml

    for name_node, value_node in node.value:
        key = f"{prefix}{name_node.value}"
        line = name_node.start_mark.line + 1
        match value_node:
            case yaml.MappingNode() if not _is_map_option(key):
                yield from _walk_yaml(value_node, key + ".")
            case yaml.MappingNode():
                yield key, {str(k.value): v.value for k, v in value_node.value}, line
            case yaml.SequenceNode():
                yield key, [item.value for item in value_node.value], line
            case _ if value_node.tag == "tag:yaml.org,2002:null":
                yield key, None, line
            case _:
                yield key, value_node.value, line
