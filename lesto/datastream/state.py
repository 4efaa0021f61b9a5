"""Keyed state. As in ``pyflink.datastream.state``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.missing import missing_names
from lesto.state.broadcast import BroadcastState, ReadOnlyBroadcastState
from lesto.state.descriptors import (
    AggregatingState,
    AggregatingStateDescriptor,
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    ReducingState,
    ReducingStateDescriptor,
    State,
    StateDescriptor,
    ValueState,
    ValueStateDescriptor,
)
from lesto.state.ttl import StateTtlConfig
from lesto.state.typed import Alias

__all__ = [
    "AggregatingState",
    "AggregatingStateDescriptor",
    "Alias",
    "BroadcastState",
    "ListState",
    "ListStateDescriptor",
    "MapState",
    "MapStateDescriptor",
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
