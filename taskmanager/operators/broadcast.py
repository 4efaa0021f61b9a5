"""A stream, keyed or not, connected with a broadcast stream whose records make broadcast state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from lesto.common.elements import Batch
from lesto.common.keys import KeySpec
from lesto.state.backend import KeyedStateBackend
from lesto.state.broadcast import BroadcastState, BroadcastStates, ReadOnlyBroadcastState
from lesto.state.descriptors import MapStateDescriptor, StateDescriptor
from lesto.taskmanager.operators.base import OperatorContext, OperatorSnapshot
from lesto.taskmanager.operators.keyed import KeyedProcessContext, KeyedProcessOperator
from lesto.taskmanager.operators.stateless import ProcessOperator, RowContext
from lesto.taskmanager.operators.timer_service import TimerService
from lesto.taskmanager.operators.two_input_keyed import NoKeyHere, run_unkeyed
from lesto.taskmanager.operators.user_functions import bound_method

#: Operator list that holds the states.
BROADCAST_STATE: Final = "broadcast"
#: The input that is broadcast.
BROADCAST_INPUT: Final = 1


class _SideContext(RowContext):
    """Times, for both sides."""

    __slots__ = ("_now", "_states", "_watermark")

    def __init__(
        self, states: BroadcastStates, now: Callable[[], int], watermark: Callable[[], int]
    ) -> None:
        super().__init__()
        self._states = states
        self._now = now
        self._watermark = watermark

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._now()

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._watermark()


class BroadcastContext(_SideContext):
    """The ``ctx`` of ``process_broadcast_element``."""

    __slots__ = ()

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """The state, to read and write."""
        return self._states.state(state_descriptor)


class ReadOnlyContext(_SideContext):
    """The ``ctx`` of ``process_element``."""

    __slots__ = ()

    def get_broadcast_state(
        self, state_descriptor: MapStateDescriptor
    ) -> ReadOnlyBroadcastState[Any, Any]:
        """The state, to read."""
        return self._states.view(state_descriptor)


class KeyedBroadcastContext(BroadcastContext):
    """The ``ctx`` of ``process_broadcast_element`` beside a keyed stream."""

    __slots__ = ("_apply",)

    def __init__(
        self,
        states: BroadcastStates,
        now: Callable[[], int],
        watermark: Callable[[], int],
        apply: Callable[[StateDescriptor, Any], None],
    ) -> None:
        super().__init__(states, now, watermark)
        self._apply = apply

    def apply_to_keyed_state(self, state_descriptor: StateDescriptor, function: Any) -> None:
        """Call ``function(key, state)`` for each key of this subtask that has the state.

        Args:
            state_descriptor: of keyed state.
            function: a callable or a KeyedStateFunction; may change the state.
        """
        self._apply(state_descriptor, function)


class KeyedReadOnlyContext(KeyedProcessContext):
    """The ``ctx`` of ``process_element`` and ``on_timer`` beside a broadcast stream."""

    __slots__ = ("_states",)

    def __init__(
        self, backend: KeyedStateBackend, timer_service: TimerService, states: BroadcastStates
    ) -> None:
        super().__init__(backend, timer_service)
        self._states = states

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timer_service.current_processing_time()

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._timer_service.current_watermark()

    def get_broadcast_state(
        self, state_descriptor: MapStateDescriptor
    ) -> ReadOnlyBroadcastState[Any, Any]:
        """The state, to read."""
        return self._states.view(state_descriptor)


def _restored_states(
    context: OperatorContext, descriptors: Sequence[MapStateDescriptor]
) -> BroadcastStates:
    return BroadcastStates(descriptors, context.restored_list(BROADCAST_STATE))


@contextmanager
def _writable(states: BroadcastStates) -> Iterator[None]:
    states.writable = True
    try:
        yield
    finally:
        states.writable = False


class BroadcastProcessOperator(ProcessOperator):
    """Runs a BroadcastProcessFunction; input 1 is the broadcast one.

    Args:
        function: the object.
        descriptors: of the broadcast states.
    """

    def __init__(self, function: Any, descriptors: Sequence[MapStateDescriptor]) -> None:
        super().__init__(function)
        self._process_broadcast = bound_method(function, "process_broadcast_element")
        self._process_element = self._process
        self._descriptors = tuple(descriptors)

    def open(self) -> None:
        """Take over the restored state and open the function."""
        self._states = states = _restored_states(self.context, self._descriptors)
        times = (self.context.clock.now_ms, lambda: self.current_watermark)
        self._contexts: tuple[Any, Any] = (
            ReadOnlyContext(states, *times),
            BroadcastContext(states, *times),
        )
        super().open()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Run the side's function over the batch and emit what it yields, once."""
        self._ctx = self._contexts[input_index]
        if input_index != BROADCAST_INPUT:
            self._process = self._process_element
            super().process_batch(batch)
            return
        self._process = self._process_broadcast
        with _writable(self._states):
            super().process_batch(batch)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """The broadcast states."""
        return OperatorSnapshot(broadcast_lists={BROADCAST_STATE: self._states.save()})


class KeyedBroadcastProcessOperator(KeyedProcessOperator):
    """Runs a KeyedBroadcastProcessFunction; input 0 is keyed, input 1 is the broadcast one.

    Args:
        function: the object.
        key: how records of input 0 are keyed.
        descriptors: of the broadcast states.
    """

    def __init__(
        self, function: Any, key: KeySpec, descriptors: Sequence[MapStateDescriptor]
    ) -> None:
        super().__init__(function, key)
        self._process_broadcast = bound_method(function, "process_broadcast_element")
        self._descriptors = tuple(descriptors)

    def open(self) -> None:
        """Take over the restored state, open the function, set the alarm for restored timers."""
        self._states = states = _restored_states(self.context, self._descriptors)
        self._no_key = NoKeyHere(
            self.context.operator_name,
            "the broadcast input",
            "use ctx.apply_to_keyed_state(descriptor, function) to reach the state of all keys",
        )
        super().open()
        timers = self._timers
        self._ctx = KeyedReadOnlyContext(self._backend, self._ctx.timer_service(), states)
        self._broadcast_ctx = KeyedBroadcastContext(
            states, timers.now_ms, lambda: timers.current_watermark, self._apply_to_keyed_state
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Run the side's function over the batch and emit what it yields, once."""
        if input_index != BROADCAST_INPUT:
            super().process_batch(batch)
            return
        self._backend.current_key = self._no_key
        with _writable(self._states):
            run_unkeyed(self, self._process_broadcast, batch, self._broadcast_ctx)

    def _apply_to_keyed_state(self, descriptor: StateDescriptor, function: Any) -> None:
        call = bound_method(function, "process")
        backend = self._backend
        state = backend.get_state(descriptor)
        try:
            # The keys first: the function may add and clear.
            for key in list(backend.keys(descriptor.name)):
                backend.current_key = key
                call(key, state)
        finally:
            backend.current_key = self._no_key

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Keyed state and timers by the keyed backend, and the broadcast states."""
        made = super().snapshot(checkpoint_id, canonical)
        made.broadcast_lists[BROADCAST_STATE] = self._states.save()
        return made
