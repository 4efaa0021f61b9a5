"""Keyed state. As in ``pyflink.datastream.state``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.missing import missing_names
from lesto.common.checkpointed import OperatorStateStore
from lesto.state.broadcast import BroadcastState, ReadOnlyBroadcastState
from lesto.state.descriptors import (
    AggregatingState,
    AggregatingStateDescriptor,
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    MergingState,
    ReducingState,
    ReducingStateDescriptor,
    State,
    StateDescriptor,
    ValueState,
    ValueStateDescriptor,
)
from lesto.state.ttl import StateTtlConfig
from lesto.state.typed import Alias

#: State that values are added to; each kind of it can also be merged.
AppendingState = MergingState

__all__ = [
    "AggregatingState",
    "AggregatingStateDescriptor",
    "Alias",
    "AppendingState",
    "BroadcastState",
    "ListState",
    "ListStateDescriptor",
    "MapState",
    "MapStateDescriptor",
    "MergingState",
    "OperatorStateStore",
    "ReadOnlyBroadcastState",
    "ReducingState",
    "ReducingStateDescriptor",
    "State",
    "StateDescriptor",
    "StateTtlConfig",
    "ValueState",
    "ValueStateDescriptor",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
