"""Taking the parallelism that the cluster has: the adaptive scheduler and its reactive mode.

A job that lacks slots waits for them a little, then goes on with fewer. When slots come, it waits
until nothing has changed for a while, and until the last change is some time ago, and is rescaled
in place.
"""

from __future__ import annotations

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_base import JobBase
from lesto.jobmanager.core.job_rescale import AUTOMATIC, Rescale, RescalePhase
from lesto.jobmanager.core.rescaling import Bounds, Widths, fit, slots_for, widths_of
from lesto.jobmanager.core.states import JobState
from lesto.jobmanager.errors import RescaleRefusedError


class Adapting(JobBase):
    """Decides when to rescale by itself."""

    def _on_slots_free(self, event: ev.SlotsFree, now: Moment) -> list[Instruction]:
        self._free = event.count
        self._plan_growth(now)
        return []

    def _plan_growth(self, now: Moment) -> None:
        """Start the wait for a larger parallelism, or give it up."""
        adaptive = self.settings.adaptive
        if adaptive is None or self.state is not JobState.RUNNING or self._growth() is None:
            self._grow_at_ms = None
            return
        stable_ms = now.mono_ms + adaptive.stabilization_ms
        cooled_ms = 0 if self._changed_ms is None else self._changed_ms + adaptive.cooldown_ms
        self._grow_at_ms = max(stable_ms, cooled_ms)

    def _growth(self) -> Widths | None:
        """A larger parallelism that the slots carry; None: there is none."""
        widths = fit(self.graph, self._bounds, len(self.slots) + self._free)
        current = widths_of(self.graph)
        if widths is None or sum(widths.values()) <= sum(current.values()):
            return None
        return widths

    def _grow(self, now: Moment) -> list[Instruction]:
        """The wait is over."""
        if self._grow_at_ms is None or now.mono_ms < self._grow_at_ms:
            return []
        self._grow_at_ms = None
        widths = self._growth()
        if widths is None or self._rescale is not None or self._rescale_objection():
            return []
        current = widths_of(self.graph)
        bounds = {key: Bounds(min(current[key], width), width) for key, width in widths.items()}
        return self._begin_rescale(AUTOMATIC, bounds, now)

    def _first_widths(self, now: Moment) -> None:
        """In reactive mode a job starts with all slots there are."""
        adaptive = self.settings.adaptive
        if adaptive is None or not adaptive.reactive or self.state is not JobState.CREATED:
            return
        widths = fit(self.graph, self._bounds, len(self.slots) + self._free)
        if self._rescale is None and widths is not None and widths != widths_of(self.graph):
            self._replan(widths, now)

    def _shrink(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction] | None:
        """Slots that the job lacks did not come: go on with fewer. None: that is not possible."""
        if self.settings.adaptive is None:
            return None
        widths = fit(self.graph, self._bounds, len(self.slots) + event.available)
        if widths is None:  # not one slot a group: the cluster is empty, and may fill again
            if self._waited_for_any:
                return None
            self._waited_for_any = True
            least = {key: bounds.lower for key, bounds in self._bounds.items()}
            self._slots_requested = slots_for(self.graph, least) - len(self.slots)
            return [do.RequestSlots(self._slots_requested)]
        out = self._replan(widths, now)
        if self.state is JobState.RESTARTING:  # a region alone cannot become narrower
            out += self._include(None, "there are fewer slots", now)
        return out if self._ending() else out + self._acquire(now)

    def _replan(self, widths: Widths, now: Moment) -> list[Instruction]:
        """The parallelism changes before the next deployment."""
        self._waited_for_any = False
        before, out = self._rescale, list[Instruction]()
        msg = "slots were lost while the job was rescaled; it takes what there is"
        if before is not None:
            self.journal.rescale_ended(now.wall_ms, reason=msg)
        if before is not None and before.request_id != AUTOMATIC:
            out.append(do.RequestFailed(before.request_id, RescaleRefusedError(msg)))
        bounds = {key: Bounds(width, width) for key, width in widths.items()}
        self._rescale = Rescale(AUTOMATIC, bounds, widths, widths_of(self.graph))
        self._rescale.phase = RescalePhase.STOPPING
        since = self._down_since_ms
        self._rescale.stopped_ms = now.mono_ms if since is None else since
        self._tell_rescale(self._rescale, now)
        return out
