"""A user's pod template over ours; lists of named things are merged by name, as elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Names by which a template means the container of the process itself.
MAIN_CONTAINERS = frozenset({"lesto-main-container", "flink-main-container"})

#: Lists whose elements have an identity, and which field it is.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}


def merge_pod(base: Mapping[str, Any], over: Mapping[str, Any], main: str) -> dict[str, Any]:
    """A pod template with another one over it.

    Args:
        base: ours.
        over: the user's; null removes what is there.
        main: name of the process's container.

    >>> ours = {"spec": {"containers": [{"name": "jobmanager", "image": "lesto"}]}}
    >>> theirs = {"spec": {"containers": [{"name": "lesto-main-container", "tty": True}]}}
    >>> merge_pod(ours, theirs, "jobmanager")["spec"]["containers"]
    [{'name': 'jobmanager', 'image': 'lesto', 'tty': True}]
    """
    return _merged(base, _named(over, main))


def _named(over: Mapping[str, Any], main: str) -> dict[str, Any]:
    spec = dict(over.get("spec") or {})
    if "containers" in spec:
        spec["containers"] = [
            {**item, "name": main} if item.get("name") in MAIN_CONTAINERS else item
            for item in spec["containers"]
        ]
    return {**over, "spec": spec}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(base)
    for name, value in over.items():
        old = made.get(name)
        if value is None:
            made.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(old, Mapping):
            made[name] = _merged(old, value)
        elif isinstance(value, list) and isinstance(old, list) and name in _KEYS:
            made[name] = _merged_list(old, value, _KEYS[name])
        else:
            made[name] = value
    return made


def _merged_list(base: list[Any], over: list[Any], key: str) -> list[Any]:
    made = list(base)
    for item in over:
        places = [n for n, old in enumerate(made) if old.get(key) == item.get(key)]
        if places:
            made[places[0]] = _merged(made[places[0]], item)
        else:
            made.append(item)
    return made
