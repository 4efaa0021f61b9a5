"""BroadcastStream and BroadcastConnectedStream: a stream whose records make state everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesto.client.datastream import operators
from lesto.client.datastream.checks import output_schema, wrong
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.errors import WrongArgumentError
from lesto.client.datastream.keyed_stream import KeyedStream
from lesto.client.datastream.location import user_location
from lesto.client.datastream.two_inputs import (
    add_two_input,
    check_same_environment,
    refuse_async,
)
from lesto.common.functions import BroadcastProcessFunction, KeyedBroadcastProcessFunction
from lesto.common.types import TypeInformation
from lesto.state.descriptors import MapStateDescriptor

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment


class BroadcastStream:
    """A stream that goes to every subtask, with the states it is to make.

    There is one thing to do with it: ``stream.connect(broadcast_stream)``.
    """

    def __init__(
        self, input_stream: DataStream, broadcast_state_descriptors: list[MapStateDescriptor]
    ) -> None:
        names = set()
        for descriptor in broadcast_state_descriptors:
            if not isinstance(descriptor, MapStateDescriptor):
                wrong("broadcast", "MapStateDescriptors", descriptor)
            if descriptor.name in names:
                msg = f"broadcast: two states have the name '{descriptor.name}'"
                raise WrongArgumentError(
                    msg, remedy="give each a name of its own", location=user_location()
                )
            names.add(descriptor.name)
        self.input_stream = input_stream
        self.broadcast_state_descriptors = broadcast_state_descriptors

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment."""
        return self.input_stream.get_execution_environment()


class BroadcastConnectedStream:
    """A stream, keyed or not, connected with a broadcast stream."""

    def __init__(
        self,
        non_broadcast_stream: DataStream,
        broadcast_stream: BroadcastStream,
        broadcast_state_descriptors: list[MapStateDescriptor],
    ) -> None:
        check_same_environment("connect", non_broadcast_stream, broadcast_stream.input_stream)
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream
        self.broadcast_state_descriptors = broadcast_state_descriptors

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment."""
        return self.non_broadcast_stream.get_execution_environment()

    def process(
        self,
        func: BroadcastProcessFunction[Any, Any, Any]
        | KeyedBroadcastProcessFunction[Any, Any, Any, Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Run a function over both streams.

        Args:
            func: a KeyedBroadcastProcessFunction on a keyed stream, a BroadcastProcessFunction on
                another.
            output_type: of the results; a row type with names gives columns.
        """
        stream = self.non_broadcast_stream
        keyed = isinstance(stream, KeyedStream)
        self._check(func, keyed=keyed)
        refuse_async("connect(broadcast).process", func)
        descriptors = tuple(self.broadcast_state_descriptors)
        if isinstance(stream, KeyedStream):
            factory = operators.keyed_broadcast_process(func, stream._key, descriptors)
        else:
            factory = operators.broadcast_process(func, descriptors)
        return add_two_input(
            stream,
            self.broadcast_stream.input_stream,
            "Keyed-Co-Process-Broadcast" if keyed else "Co-Process-Broadcast",
            factory,
            output_schema("process", output_type),
            functions=(func,),
            keyed=keyed,
            type_info=output_type,
        )

    def _is_keyed_stream(self) -> bool:
        return isinstance(self.non_broadcast_stream, KeyedStream)

    def _check(self, func: Any, *, keyed: bool) -> None:
        fits: type[Any] = KeyedBroadcastProcessFunction if keyed else BroadcastProcessFunction
        if isinstance(func, fits):
            return
        other: type[Any] = BroadcastProcessFunction if keyed else KeyedBroadcastProcessFunction
        if not isinstance(func, other):
            wrong("process", f"a {fits.__name__}", func)
        is_keyed = "keyed" if keyed else "not keyed"
        msg = f"process takes a {fits.__name__} here, not a {other.__name__}: the stream is"
        msg = f"{msg} {is_keyed}"
        raise WrongArgumentError(
            msg,
            remedy="leave key_by out before connect" if keyed else "call key_by before connect",
            location=user_location(),
        )
