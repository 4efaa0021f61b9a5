"""Operator state of users' functions, and their word of checkpoints.

The task asks for it around each operator, so that it works for the functions of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from lesto.common.checkpointed import CheckpointedFunction, CheckpointListener
from lesto.common.functions import Function, KeyedStateStore
from lesto.state import codec
from lesto.state.broadcast import BroadcastState, BroadcastStates
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.errors import (
    InvalidFunctionError,
    KeyedStateUnavailableError,
)
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.user_functions import function_name, user_errors

if TYPE_CHECKING:
    from lesto.taskmanager.operators.base import OperatorContext

#: Names of lists in checkpoints, before the name that the user gave.
LIST_PREFIX: Final = "function-list/"
UNION_PREFIX: Final = "function-union/"
BROADCAST_PREFIX: Final = "function-broadcast/"
#: Adapters of adapters, at most.
WRAPPED_MAX: Final = 8


class OperatorListState:
    """A list of a subtask; iterate over it, or ``get``, ``add``, ``add_all``, ``update``."""

    __slots__ = ("_items",)

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def get(self) -> list[Any]:
        """The items, as a list of the caller's own."""
        return list(self._items)

    def add(self, value: Any) -> None:
        """Add an item."""
        self._items.append(value)

    def add_all(self, values: Iterable[Any]) -> None:
        """Add several."""
        self._items.extend(values)

    def update(self, values: Iterable[Any]) -> None:
        """Replace all items."""
        self._items[:] = list(values)

    def clear(self) -> None:
        """Remove all items."""
        self._items.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get())


class SubtaskStateStore:
    """``OperatorStateStore`` of one operator's functions."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        self._lists: dict[str, OperatorListState] = {}
        self._broadcast: dict[str, tuple[BroadcastStates, Any]] = {}

    def get_list_state(self, descriptor: Any) -> OperatorListState:
        """A list whose items are dealt out anew when the parallelism changes."""
        return self._list(LIST_PREFIX, UNION_PREFIX, descriptor)

    def get_union_list_state(self, descriptor: Any) -> OperatorListState:
        """A list of which every subtask gets the items of all at a restore."""
        return self._list(UNION_PREFIX, LIST_PREFIX, descriptor)

    def get_broadcast_state(self, state_descriptor: Any) -> BroadcastState[Any, Any]:
        """A map that is the same in every subtask."""
        name = _name_of(state_descriptor)
        if name not in self._broadcast:
            restored = self._context.restored_list(BROADCAST_PREFIX + name)
            states = BroadcastStates([state_descriptor], restored)
            states.writable = True
            self._broadcast[name] = states, state_descriptor
        states, descriptor = self._broadcast[name]
        return states.state(descriptor)

    def _list(self, prefix: str, other: str, descriptor: Any) -> OperatorListState:
        name = _name_of(descriptor)
        if other + name in self._lists:
            msg = f"operator state {name!r} is asked for both as a list and as a union list"
            raise InvalidFunctionError(msg, remedy="give the two states different names")
        found = self._lists.get(prefix + name)
        if found is None:
            restored = self._context.restored_list(prefix + name)
            found = OperatorListState([codec.decode(item) for item in restored])
            self._lists[prefix + name] = found
        return found

    def save(self, snapshot: OperatorSnapshot) -> None:
        """Put the state into a snapshot."""
        for name, state in self._lists.items():
            items = codec.encode_all(state.get())
            into = snapshot.lists if name.startswith(LIST_PREFIX) else snapshot.union_lists
            into[name] = items
        for name, (states, _) in self._broadcast.items():
            snapshot.broadcast_lists[BROADCAST_PREFIX + name] = states.save()
        self._save_what_nobody_has_asked_for(snapshot)

    def _save_what_nobody_has_asked_for(self, snapshot: OperatorSnapshot) -> None:
        """A function may ask for a state at its first need, which may be behind this checkpoint."""
        known = {*self._lists, *(BROADCAST_PREFIX + name for name in self._broadcast)}
        for name in self._context.restored_names():
            if name in known:
                continue
            if name.startswith(LIST_PREFIX):
                snapshot.lists[name] = list(self._context.restored_list(name))
            elif name.startswith(BROADCAST_PREFIX):
                snapshot.broadcast_lists[name] = list(self._context.restored_list(name))
            elif name.startswith(UNION_PREFIX) and self._context.subtask == 0:  # all have it all
                snapshot.union_lists[name] = list(self._context.restored_list(name))


class _InitializationContext:
    def __init__(self, context: OperatorContext, store: SubtaskStateStore, *, keyed: bool) -> None:
        self._context = context
        self._store = store
        self._keyed = keyed

    def is_restored(self) -> bool:
        """Whether the job goes on from a checkpoint."""
        return self._context.restored

    def get_restored_checkpoint_id(self) -> int | None:
        """Its number."""
        number = getattr(self._context, "restored_checkpoint_id", 0)
        return number if self._context.restored and number else None

    def get_operator_state_store(self) -> SubtaskStateStore:
        """State of this subtask."""
        return self._store

    def get_keyed_state_store(self) -> KeyedStateStore:
        """State of the current key."""
        if not self._keyed:
            name = self._context.operator_name
            msg = f"operator {name!r} is not on a keyed stream and has no keyed state"
            raise KeyedStateUnavailableError(msg, remedy="call key_by(...) before this operator")
        found: Any = OperatorRuntimeContext(self._context, self._context.keyed_backend())
        return found  # type: ignore[no-any-return]


class _SnapshotContext:
    def __init__(self, checkpoint_id: int, timestamp_ms: int) -> None:
        self._checkpoint_id = checkpoint_id
        self._timestamp_ms = timestamp_ms

    def get_checkpoint_id(self) -> int:
        """Number of the checkpoint."""
        return self._checkpoint_id

    def get_checkpoint_timestamp(self) -> int:
        """Wall clock, ms."""
        return self._timestamp_ms


class FunctionState:
    """What the functions of one operator have beside their records.

    Args:
        context: the operator's.
        functions: of the operator.
        keyed: whether the operator has keyed state.
    """

    def __init__(self, context: OperatorContext, functions: Sequence[Any], *, keyed: bool) -> None:
        self._context = context
        self._store = SubtaskStateStore(context)
        self._keyed = keyed
        self._checkpointed = [f for f in functions if isinstance(f, CheckpointedFunction)]
        self._listeners = [f for f in functions if isinstance(f, CheckpointListener)]

    @staticmethod
    def of(operator: Operator, context: OperatorContext, *, keyed: bool) -> FunctionState | None:
        """For an operator; None when its functions want none."""
        functions = [_unwrapped(function) for function in operator.functions()]
        wanted = (CheckpointedFunction, CheckpointListener)
        if not any(isinstance(function, wanted) for function in functions):
            return None
        return FunctionState(context, functions, keyed=keyed)

    def initialize(self) -> None:
        """Before ``open``."""
        context = _InitializationContext(self._context, self._store, keyed=self._keyed)
        self._each(self._checkpointed, "initialize_state", lambda f: f.initialize_state(context))

    def prepare(self, checkpoint_id: int) -> None:
        """Before the operator's snapshot."""
        context = _SnapshotContext(checkpoint_id, self._context.clock.now_ms())
        self._each(self._checkpointed, "snapshot_state", lambda f: f.snapshot_state(context))

    def save(self, snapshot: OperatorSnapshot) -> None:
        """Put the state into the operator's snapshot."""
        self._store.save(snapshot)

    def complete(self, checkpoint_id: int) -> None:
        """The checkpoint is durable."""
        self._each(
            self._listeners,
            "notify_checkpoint_complete",
            lambda f: f.notify_checkpoint_complete(checkpoint_id),
        )

    def aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never be complete."""
        self._each(
            self._listeners,
            "notify_checkpoint_aborted",
            lambda f: f.notify_checkpoint_aborted(checkpoint_id),
        )

    def _each(self, functions: Sequence[Any], method: str, call: Callable[[Any], None]) -> None:
        for function in functions:
            what = f"{function_name(function)}.{method}"
            with user_errors(self._context.operator_name, what):
                call(function)


def _unwrapped(function: Any) -> Any:
    """The user's function in the engine's adapters."""
    for _ in range(WRAPPED_MAX):
        if isinstance(function, (CheckpointedFunction, CheckpointListener)):
            return function
        inner = getattr(function, "function", None)
        if not isinstance(function, Function) or inner is None:
            return function
        function = inner
    return function


def _name_of(descriptor: Any) -> str:
    name = getattr(descriptor, "name", None)
    if isinstance(name, str):
        return name
    msg = f"operator state is asked for by a state descriptor, not by {descriptor!r}"
    raise InvalidFunctionError(msg, remedy="write ListStateDescriptor('name', type)")
