"""Time-to-live of state: how it is configured (PyFlink's names), and how stamps are compared.

What expires carries a stamp, the time of its last access: a pair ``(stamp, value)``. Value,
reducing and aggregating state have one for the value, a list one for each element, a map one for
each entry.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from lesto.common.elements import MIN_TIMESTAMP
from lesto.common.time import Duration, DurationLike, Time, duration_ms

#: Times that a :class:`StateTtlConfig` may go by, as snapshots name them.
PROCESSING, EVENT = "processing", "event"
_ENTRIES_AN_ACCESS: Final = 5
_ENTRIES_A_CLOCK: Final = 1000
_COMPACTION: Final = Duration.of_days(30)


class TtlUpdateType(enum.Enum):
    """What prolongs the life of state."""

    Disabled = 0
    OnCreateAndWrite = 1
    OnReadAndWrite = 2


class TtlVisibility(enum.Enum):
    """Whether state that has expired and is still there can be seen."""

    ReturnExpiredIfNotCleanedUp = 0
    NeverReturnExpired = 1


class TtlTime(enum.Enum):
    """The clock state expires by.

    ``EventTime`` (Flink has it not): the stamp is the event time of the record that accessed the
    state; a later record finds it expired by its own time or by the watermark, and what the
    watermark is past is removed.
    """

    ProcessingTime = 0
    EventTime = 1


class _Strategies(enum.Enum):
    FULL_STATE_SCAN_SNAPSHOT = 0
    INCREMENTAL_CLEANUP = 1
    ROCKSDB_COMPACTION_FILTER = 2


class _CleanupStrategy:
    """Base of the settings of clean-up."""


class _EmptyCleanupStrategy(_CleanupStrategy):
    """A clean-up without settings."""


@dataclass(frozen=True)
class _IncrementalCleanupStrategy(_CleanupStrategy):
    """Clean-up of a few entries at a time."""

    cleanup_size: int
    for_every_record: bool

    def get_cleanup_size(self) -> int:
        """Entries looked at, at a time."""
        return self.cleanup_size

    def run_cleanup_for_every_record(self) -> bool:
        """Whether Flink would run it with each record."""
        return self.for_every_record


@dataclass(frozen=True)
class _RocksdbCompactFilterCleanupStrategy(_CleanupStrategy):
    """Flink's clean-up while RocksDB compacts."""

    query_time_after_num_entries: int
    periodic_compaction_time: Duration = _COMPACTION

    def get_query_time_after_num_entries(self) -> int:
        """Entries after which the clock is asked again."""
        return self.query_time_after_num_entries

    def get_periodic_compaction_time(self) -> Duration:
        """Age of files that are compacted whatever happens."""
        return self.periodic_compaction_time


class TtlCleanup:
    """When expired state is removed, beside at its next access.

    Lesto's two backends clean alike: a sweep looks at a bounded number of entries at a time, in the
    background. Flink's settings are taken; what they choose between is one thing here.
    """

    Strategies = _Strategies
    CleanupStrategy = _CleanupStrategy
    EmptyCleanupStrategy = _EmptyCleanupStrategy
    IncrementalCleanupStrategy = _IncrementalCleanupStrategy
    RocksdbCompactFilterCleanupStrategy = _RocksdbCompactFilterCleanupStrategy
    EMPTY_STRATEGY: ClassVar[_EmptyCleanupStrategy] = _EmptyCleanupStrategy()

    def __init__(
        self, strategies: dict[_Strategies, _CleanupStrategy], is_cleanup_in_background: bool
    ) -> None:
        self._strategies = dict(strategies)
        self._in_background = is_cleanup_in_background

    def is_cleanup_in_background(self) -> bool:
        """Whether the default clean-up is on."""
        return self._in_background

    def in_full_snapshot(self) -> bool:
        """Whether ``cleanup_full_snapshot`` was asked for."""
        return _Strategies.FULL_STATE_SCAN_SNAPSHOT in self._strategies

    def get_incremental_cleanup_strategy(self) -> Any:
        """The settings, or None when clean-up in the background is off."""
        default = _IncrementalCleanupStrategy(_ENTRIES_AN_ACCESS, False)
        return self._found(_Strategies.INCREMENTAL_CLEANUP, default)

    def get_rocksdb_compact_filter_cleanup_strategy(self) -> Any:
        """The settings, or None when clean-up in the background is off."""
        default = _RocksdbCompactFilterCleanupStrategy(_ENTRIES_A_CLOCK)
        return self._found(_Strategies.ROCKSDB_COMPACTION_FILTER, default)

    def _found(self, which: _Strategies, default: _CleanupStrategy) -> Any:
        return self._strategies.get(which, default if self._in_background else None)

    @property
    def sweeps(self) -> bool:
        """Whether expired state is removed without being accessed."""
        return self._in_background or bool(self._strategies)


class StateTtlConfig:
    """How state of a descriptor expires; made by :meth:`new_builder`.

    >>> config = StateTtlConfig.new_builder("1h").update_ttl_on_read_and_write().build()
    >>> config.ttl_ms, config.get_update_type().name, config.get_state_visibility().name
    (3600000, 'OnReadAndWrite', 'NeverReturnExpired')
    """

    UpdateType = TtlUpdateType
    StateVisibility = TtlVisibility
    TtlTimeCharacteristic = TtlTime
    CleanupStrategies = TtlCleanup
    Builder: ClassVar[type[TtlConfigBuilder]]

    def __init__(
        self,
        update_type: TtlUpdateType,
        state_visibility: TtlVisibility,
        ttl_time_characteristic: TtlTime,
        ttl: DurationLike,
        cleanup_strategies: TtlCleanup,
    ) -> None:
        self._update_type = update_type
        self._visibility = state_visibility
        self._time = ttl_time_characteristic
        self._ttl = ttl
        self._cleanup = cleanup_strategies
        self.ttl_ms = duration_ms(ttl, "ttl")
        if self.ttl_ms <= 0:
            msg = f"a time-to-live of {ttl} is not longer than zero"
            raise ValueError(msg)

    @staticmethod
    def new_builder(ttl: DurationLike) -> TtlConfigBuilder:
        """A builder for state that lives for ``ttl`` after its last update."""
        return TtlConfigBuilder(ttl)

    newBuilder = new_builder

    def get_update_type(self) -> TtlUpdateType:
        """What prolongs life."""
        return self._update_type

    def get_state_visibility(self) -> TtlVisibility:
        """Whether expired state can be seen."""
        return self._visibility

    def get_ttl(self) -> Time:
        """The time-to-live."""
        return Time.milliseconds(self.ttl_ms)

    def get_ttl_time_characteristic(self) -> TtlTime:
        """The clock."""
        return self._time

    def is_enabled(self) -> bool:
        """Whether anything expires."""
        return self._update_type is not TtlUpdateType.Disabled

    def get_cleanup_strategies(self) -> TtlCleanup:
        """When expired state is removed."""
        return self._cleanup

    @property
    def domain(self) -> str | None:
        """PROCESSING, EVENT or None (disabled): what snapshots say of the state."""
        if not self.is_enabled():
            return None
        return EVENT if self._time is TtlTime.EventTime else PROCESSING

    def __repr__(self) -> str:
        return (
            f"StateTtlConfig<update_type={self._update_type}, "
            f"state_visibility={self._visibility}, "
            f"ttl_time_characteristic={self._time}, ttl={self._ttl}>"
        )


class TtlConfigBuilder:
    """Builds a :class:`StateTtlConfig`."""

    def __init__(self, ttl: DurationLike) -> None:
        self._ttl = ttl
        self._update_type = TtlUpdateType.OnCreateAndWrite
        self._visibility = TtlVisibility.NeverReturnExpired
        self._time = TtlTime.ProcessingTime
        self._in_background = True
        self._strategies: dict[_Strategies, _CleanupStrategy] = {}

    def set_update_type(self, update_type: TtlUpdateType) -> TtlConfigBuilder:
        """What prolongs life: writing, or reading too."""
        self._update_type = TtlUpdateType(update_type)
        return self

    def update_ttl_on_create_and_write(self) -> TtlConfigBuilder:
        """A write prolongs life."""
        return self.set_update_type(TtlUpdateType.OnCreateAndWrite)

    def update_ttl_on_read_and_write(self) -> TtlConfigBuilder:
        """A read does too."""
        return self.set_update_type(TtlUpdateType.OnReadAndWrite)

    def set_state_visibility(self, state_visibility: TtlVisibility) -> TtlConfigBuilder:
        """Whether expired state can be seen."""
        self._visibility = TtlVisibility(state_visibility)
        return self

    def return_expired_if_not_cleaned_up(self) -> TtlConfigBuilder:
        """Expired state is seen while it is there."""
        return self.set_state_visibility(TtlVisibility.ReturnExpiredIfNotCleanedUp)

    def never_return_expired(self) -> TtlConfigBuilder:
        """Expired state is never seen."""
        return self.set_state_visibility(TtlVisibility.NeverReturnExpired)

    def set_ttl_time_characteristic(self, ttl_time_characteristic: TtlTime) -> TtlConfigBuilder:
        """The clock."""
        self._time = TtlTime(ttl_time_characteristic)
        return self

    def use_processing_time(self) -> TtlConfigBuilder:
        """Expire by the wall clock."""
        return self.set_ttl_time_characteristic(TtlTime.ProcessingTime)

    def use_event_time(self) -> TtlConfigBuilder:
        """Expire by the watermark and the records' event time; Flink has no such thing."""
        return self.set_ttl_time_characteristic(TtlTime.EventTime)

    def cleanup_full_snapshot(self) -> TtlConfigBuilder:
        """Taken as a wish for clean-up: the background sweep fulfils it."""
        strategy = TtlCleanup.EMPTY_STRATEGY
        self._strategies[_Strategies.FULL_STATE_SCAN_SNAPSHOT] = strategy
        return self

    def cleanup_incrementally(
        self, cleanup_size: int, run_cleanup_for_every_record: bool = False
    ) -> TtlConfigBuilder:
        """Taken as a wish for clean-up: the background sweep fulfils it, on both backends."""
        self._strategies[_Strategies.INCREMENTAL_CLEANUP] = _IncrementalCleanupStrategy(
            cleanup_size, run_cleanup_for_every_record
        )
        return self

    def cleanup_in_rocksdb_compact_filter(
        self,
        query_time_after_num_entries: int,
        periodic_compaction_time: DurationLike | None = None,
    ) -> TtlConfigBuilder:
        """Taken as a wish for clean-up: the background sweep fulfils it, on both backends."""
        period = _COMPACTION
        if periodic_compaction_time is not None:
            millis = duration_ms(periodic_compaction_time, "periodic_compaction_time")
            period = Duration.of_millis(millis)
        self._strategies[_Strategies.ROCKSDB_COMPACTION_FILTER] = (
            _RocksdbCompactFilterCleanupStrategy(query_time_after_num_entries, period)
        )
        return self

    def disable_cleanup_in_background(self) -> TtlConfigBuilder:
        """Remove expired state at its next access only, unless a clean-up is asked for by name."""
        self._in_background = False
        return self

    def set_ttl(self, ttl: DurationLike) -> TtlConfigBuilder:
        """Another time-to-live."""
        self._ttl = ttl
        return self

    def build(self) -> StateTtlConfig:
        """The configuration.

        Raises:
            ValueError: the time-to-live is not longer than zero.
        """
        return StateTtlConfig(
            self._update_type,
            self._visibility,
            self._time,
            self._ttl,
            TtlCleanup(self._strategies, self._in_background),
        )


StateTtlConfig.Builder = TtlConfigBuilder


class Lifetime:
    """What state objects need to know of a time-to-live.

    Attributes:
        ttl_ms: how long state lives after its stamp.
        now: time by which things expire at an access, ms. In event time: the watermark or, if it
            lags behind, the time of the record at hand, so that what a key's records see does not
            depend on other keys' records.
        stamp: time of the present access, ms.
        horizon: time by which things are removed without an access, ms: no record that comes is
            before it.
        on_read: a read is an access.
        hides: expired state is not seen.
        sweeps: expired state is removed in the background.
    """

    __slots__ = (
        "_config",
        "event",
        "hides",
        "horizon",
        "now",
        "on_read",
        "stamp",
        "sweeps",
        "ttl_ms",
    )

    def __init__(
        self,
        config: StateTtlConfig,
        now: Callable[[], int],
        stamp: Callable[[], int],
        horizon: Callable[[], int],
    ) -> None:
        self._config = config
        self.ttl_ms = config.ttl_ms
        self.now = now
        self.stamp = stamp
        self.horizon = horizon
        self.event = config.domain == EVENT
        self.on_read = config.get_update_type() is TtlUpdateType.OnReadAndWrite
        visibility = config.get_state_visibility()
        self.hides = visibility is TtlVisibility.NeverReturnExpired
        self.sweeps = config.get_cleanup_strategies().sweeps

    def is_of(self, config: StateTtlConfig) -> bool:
        """Whether it was made for a configuration."""
        return self._config is config

    def expired(self, stamp: int) -> bool:
        """Whether what was accessed at ``stamp`` ms has expired.

        MIN_TIMESTAMP stands for "before event time began": that has not expired, and is given a
        stamp by the next sweep.
        """
        return stamp + self.ttl_ms <= self.now() and stamp != MIN_TIMESTAMP

    def over(self, stamp: int) -> bool:
        """Whether what was accessed at ``stamp`` ms has expired for all that is to come."""
        return stamp + self.ttl_ms <= self.horizon() and stamp != MIN_TIMESTAMP

    def restamp(self, old: int) -> int:
        """The stamp behind an access to what had one: a late record does not shorten a life."""
        return max(old, self.stamp())
