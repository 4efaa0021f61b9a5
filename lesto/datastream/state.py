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

__all__ = [
    "AggregatingState",
    "AggregatingStateDescriptor",
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
    "ValueState",
    "ValueStateDescriptor",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
