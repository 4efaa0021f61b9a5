"""What assigners, triggers and evictors of the general engine may ask for."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from lesto.common.evictors import Evictor
from lesto.common.triggers import Trigger
from lesto.common.windowing import WindowAssigner
from lesto.state.backend import KeyedStateBackend
from lesto.taskmanager.operators.errors import UnsupportedMergeError
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.timer_service import InternalTimers


class AssignerContext(WindowAssigner.WindowAssignerContext):
    """What the assigner may ask for."""

    def __init__(self, timers: InternalTimers, runtime: OperatorRuntimeContext) -> None:
        self._timers = timers
        self._runtime = runtime

    def get_current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timers.now_ms()

    def get_runtime_context(self) -> OperatorRuntimeContext:
        """The runtime context, for keyed state."""
        return self._runtime


class EngineTriggerContext(Trigger.OnMergeContext, Evictor.EvictorContext):
    """A trigger's, or an evictor's, view of the current key and one window.

    Attributes:
        namespace: the window's.
        merged: namespaces of the windows that merge into it, during ``on_merge``.
    """

    def __init__(
        self,
        timers: InternalTimers,
        backend: KeyedStateBackend,
        runtime: OperatorRuntimeContext,
    ) -> None:
        self.namespace: Hashable = ()
        self.merged: Sequence[Hashable] = ()
        self._timers = timers
        self._backend = backend
        self._runtime = runtime
        self._register_event = timers.event.register
        # State objects by name, and the namespace each is at.
        self._states: dict[str, Any] = {}
        self._at: dict[str, Hashable] = {}

    def get_current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timers.now_ms()

    def get_metric_group(self) -> Any:
        """The operator's metric group."""
        return self._runtime.get_metrics_group()

    def get_current_watermark(self) -> int:
        """Event time, ms."""
        return self._timers.current_watermark

    def register_processing_time_timer(self, time: int) -> None:
        """Call ``on_processing_time`` at this ms."""
        self._timers.register_processing(time, self._backend.current_key, self.namespace)

    def register_event_time_timer(self, time: int) -> None:
        """Call ``on_event_time`` at this ms."""
        self._register_event(time, self._backend.current_key, self.namespace)

    def delete_processing_time_timer(self, time: int) -> None:
        """Forget the timer."""
        self._timers.delete_processing(time, self._backend.current_key, self.namespace)

    def delete_event_time_timer(self, time: int) -> None:
        """Forget the timer."""
        self._timers.event.delete(time, self._backend.current_key, self.namespace)

    def get_partitioned_state(self, state_descriptor: Any) -> Any:
        """State of the key and window."""
        name = state_descriptor.name
        state = self._states.get(name)
        if state is None:
            # An object of the engine's own: its namespace moves with the window.
            state = self._backend.get_state(state_descriptor, self.namespace)
            self._states[name] = state
        elif self._at[name] != self.namespace:
            state.set_namespace(self.namespace)
        self._at[name] = self.namespace
        return state

    def merge_partitioned_state(self, state_descriptor: Any) -> None:
        """Merge this state of the merged windows into the result's."""
        state = self.get_partitioned_state(state_descriptor)
        merge = getattr(state, "merge_namespaces", None)
        if merge is None:
            msg = f"trigger state {state_descriptor.name!r} cannot be merged"
            raise UnsupportedMergeError(
                msg, remedy="keep it as list, reducing or aggregating state"
            )
        merge(self.namespace, [n for n in self.merged if n != self.namespace])
