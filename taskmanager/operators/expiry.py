"""Drives the sweep of expired state by processing-time timers of its operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesto.state.expiry import STEP_PAUSE_MS, Sweep

if TYPE_CHECKING:
    from lesto.state.keyed_base import KeyedBackendBase
    from lesto.taskmanager.operators.base import OperatorContext


def sweep_expired(context: OperatorContext, backend: KeyedBackendBase) -> None:
    """From the first state that expires on, sweep the backend while its operator lives."""
    clock = context.clock
    backend.clock = clock
    sweep = Sweep(backend)
    removed = context.metrics.counter("state_entries_expired")

    def turn(_timestamp: int) -> None:
        before = sweep.removed
        over = sweep.step()
        removed.inc(sweep.removed - before)
        wait(sweep.pause_ms() if over else STEP_PAUSE_MS)

    def wait(pause_ms: int) -> None:
        context.register_processing_timer(clock.now_ms() + pause_ms, turn)

    def begin() -> None:
        backend.on_expiring = None
        wait(sweep.pause_ms())

    backend.on_expiring = begin
