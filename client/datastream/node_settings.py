"""What can be set on any operator: name, uid, parallelism, chaining."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, Self

from lesto.client.datastream.checks import check_instance, check_parallelism, located, wrong
from lesto.client.datastream.errors import InvalidParallelismError
from lesto.client.datastream.location import user_location
from lesto.client.datastream.settings import SlotSharingGroup
from lesto.client.datastream.transformations import Chaining, Transformation
from lesto.common.checking import is_a
from lesto.common.time import DurationLike, duration_ms

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment

_UID_HASH = re.compile(r"[0-9a-f]{32}")


class NodeSettings:
    """The settings; each returns the stream, to go on with."""

    _env: StreamExecutionEnvironment

    @abstractmethod
    def _own_node(self, method: str) -> Transformation:
        """The operator that a setting is for."""

    def get_name(self) -> str:
        """Name of the operator."""
        return self._own_node("get_name").name

    def name(self, name: str) -> Self:
        """Name the operator, for people: plans, metrics, errors."""
        self._own_node("name").name = check_instance("name", "a text", name, str)
        return self

    def set_description(self, description: str) -> Self:
        """Describe the operator in plans."""
        node = self._own_node("set_description")
        node.description = check_instance("set_description", "a text", description, str)
        return self

    def uid(self, uid: str) -> Self:
        """Fix the identity of the operator's state, so that the job may change around it."""
        if not is_a(uid, str) or not uid.strip():
            wrong("uid", "a non-empty text", uid)
        self._own_node("uid").uid = uid
        return self

    def set_uid_hash(self, uid_hash: str) -> Self:
        """Fix the identity as it is recorded in checkpoints: 32 hexadecimal digits."""
        if not is_a(uid_hash, str) or not _UID_HASH.fullmatch(uid_hash):
            wrong("set_uid_hash", "32 lower-case hexadecimal digits", uid_hash)
        self._own_node("set_uid_hash").uid_hash = uid_hash
        return self

    def set_parallelism(self, parallelism: int) -> Self:
        """Number of parallel instances of the operator."""
        node = self._own_node("set_parallelism")
        value = check_parallelism("set_parallelism", parallelism)
        if node.parallelism_fixed and value != node.parallelism:
            msg = f"'{node.name}' always runs with parallelism {node.parallelism}, not {value}"
            raise InvalidParallelismError(msg, location=user_location())
        node.parallelism = value
        return self

    def set_max_parallelism(self, max_parallelism: int) -> Self:
        """Number of key groups: the most that the operator can ever be scaled to."""
        node = self._own_node("set_max_parallelism")
        node.max_parallelism = check_parallelism("set_max_parallelism", max_parallelism)
        return self

    def force_non_parallel(self) -> Self:
        """One instance, whatever the environment says."""
        node = self._own_node("force_non_parallel")
        node.parallelism = node.max_parallelism = 1
        node.parallelism_fixed = True
        return self

    def start_new_chain(self) -> Self:
        """Do not run in one task with the operator before."""
        self._own_node("start_new_chain").chaining = Chaining.HEAD
        return self

    def disable_chaining(self) -> Self:
        """Run in a task of its own."""
        self._own_node("disable_chaining").chaining = Chaining.NEVER
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> Self:
        """Operators of different groups never share a slot."""
        node = self._own_node("slot_sharing_group")
        if isinstance(slot_sharing_group, SlotSharingGroup):
            self._env.register_slot_sharing_group(slot_sharing_group)
            slot_sharing_group = slot_sharing_group.get_name()
        node.slot_sharing_group = check_instance(
            "slot_sharing_group", "a name or a SlotSharingGroup", slot_sharing_group, str
        )
        return self

    def set_buffer_timeout(self, timeout_millis: DurationLike) -> Self:
        """The longest that a result of this operator waits for its batch to fill (ms).

        On the way to other tasks; chained operators get a batch at once. 0: nothing waits. -1: the
        environment's.
        """
        node = self._own_node("set_buffer_timeout")
        if timeout_millis == -1:
            node.buffer_timeout_ms = None
            return self
        millis = located(lambda: duration_ms(timeout_millis), "set_buffer_timeout")
        if millis < 0:
            wrong("set_buffer_timeout", "a time of at least 0 ms, or -1", timeout_millis)
        node.buffer_timeout_ms = millis
        return self
