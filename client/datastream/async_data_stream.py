"""Requests to other systems, many at a time: AsyncDataStream, and ``async def`` functions."""

from __future__ import annotations

from typing import Any

from lesto.client.datastream import operators
from lesto.client.datastream.checks import check_instance, located, output_schema, wrong
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.keyed_stream import KeyedStream
from lesto.common.async_functions import (
    DEFAULT_CAPACITY,
    NO_RETRY_STRATEGY,
    AsyncCall,
    AsyncFunction,
    AsyncRetryPredicate,
    AsyncRetryStrategy,
    is_async,
)
from lesto.common.checking import is_a
from lesto.common.functions import Function
from lesto.common.time import DurationLike, duration_ms
from lesto.common.types import TypeInformation

#: Each waits in memory, and in every checkpoint.
CAPACITY_MAX = 1_000_000


class AsyncDataStream:
    """Applies an AsyncFunction to a stream.

    Results of ``unordered_wait`` leave as they come, but never pass a watermark; those of
    ``ordered_wait`` leave in the order of the records. Requests under way are in the checkpoint,
    and made again behind a restore: what they do elsewhere happens at least once.
    """

    @staticmethod
    def unordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: DurationLike,
        capacity: int = DEFAULT_CAPACITY,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Results as they come.

        Args:
            data_stream: the records.
            async_function: makes the requests.
            timeout: limit of a request (ms, or any duration); 0: none.
            capacity: requests under way at one time in a subtask.
            output_type: type of the results.
        """
        return AsyncDataStream.unordered_wait_with_retry(
            data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type
        )

    @staticmethod
    def unordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: DurationLike,
        async_retry_strategy: AsyncRetryStrategy[Any],
        capacity: int = DEFAULT_CAPACITY,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Results as they come; the timeout is that of all attempts together."""
        return _wait(
            "unordered_wait",
            data_stream,
            async_function,
            timeout,
            async_retry_strategy,
            capacity,
            output_type,
        )

    @staticmethod
    def ordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: DurationLike,
        capacity: int = DEFAULT_CAPACITY,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Results in the order of the records; arguments as of ``unordered_wait``."""
        return AsyncDataStream.ordered_wait_with_retry(
            data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type
        )

    @staticmethod
    def ordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: DurationLike,
        async_retry_strategy: AsyncRetryStrategy[Any],
        capacity: int = DEFAULT_CAPACITY,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Results in the order of the records; the timeout is that of all attempts together."""
        return _wait(
            "ordered_wait",
            data_stream,
            async_function,
            timeout,
            async_retry_strategy,
            capacity,
            output_type,
        )


def _wait(
    method: str,
    stream: DataStream,
    function: Any,
    timeout: DurationLike,
    retry: Any,
    capacity: Any,
    output_type: TypeInformation | None,
) -> DataStream:
    check_instance(method, "a DataStream", stream, DataStream)
    check_instance(method, "an AsyncFunction", function, AsyncFunction)
    if not is_async(function.async_invoke):
        wrong(
            method,
            f"a function whose async_invoke is 'async def' ({type(function).__name__} blocks)",
            function,
            "write 'async def async_invoke' and await in it; a client that blocks needs"
            " await asyncio.to_thread(call, value)",
        )
    check_instance(f"{method}_with_retry", "an AsyncRetryStrategy", retry, AsyncRetryStrategy)
    timeout_ms = located(lambda: duration_ms(timeout, "timeout"), method)
    if timeout_ms < 0:
        wrong(method, "a timeout of at least 0 ms", timeout)
    once = retry is NO_RETRY_STRATEGY
    if not once and not timeout_ms:
        wrong(f"{method}_with_retry", "a timeout above 0 ms", timeout)
    if not once:
        predicate = retry.get_retry_predicate()
        check_instance(
            f"{method}_with_retry",
            "a strategy whose get_retry_predicate() gives an AsyncRetryPredicate",
            predicate,
            AsyncRetryPredicate,
        )
    call = AsyncCall(
        "async_invoke",
        check_capacity(method, capacity),
        timeout_ms,
        method == "ordered_wait",
        None if once else retry,
    )
    return stream._add(
        "Async Wait",
        operators.async_wait(function, call),
        output_schema(method, output_type),
        functions=(function,),
        type_info=output_type,
    )


def check_capacity(method: str, capacity: Any) -> int:
    """A number of requests, at least one."""
    if not is_a(capacity, int) or is_a(capacity, bool) or not 1 <= capacity <= CAPACITY_MAX:
        wrong(method, f"a capacity from 1 to {CAPACITY_MAX:,}", capacity)
    return int(capacity)


def async_method(func: Any, method: str) -> bool:
    """Whether the function's method (or the function itself, if it has none) is ``async def``."""
    found = getattr(func, method, None) if isinstance(func, Function) else None
    return is_async(func if found is None else found)


def add_async(
    stream: DataStream,
    method: str,
    func: Any,
    output_type: TypeInformation | None,
    capacity: int | None,
) -> DataStream | None:
    """The stream with an ``async def`` function applied; None when the function is none.

    Args:
        stream: the records; a KeyedStream: one record of a key at a time, with keyed state.
        method: of the function: map, filter, flat_map or process_element.
        func: the function.
        output_type: type of the results.
        capacity: requests at a time; None: the default.
    """
    name = "process" if method == "process_element" else method
    if not async_method(func, method):
        if capacity is not None:
            wrong(
                name,
                "a capacity only with an 'async def' function",
                func,
                "write the function as 'async def', or leave capacity out",
            )
        return None
    wanted = DEFAULT_CAPACITY if capacity is None else capacity
    call = AsyncCall(method, check_capacity(name, wanted))
    label = f"Async {name.replace('_', ' ').title()}"
    keyed = isinstance(stream, KeyedStream) and isinstance(func, Function)
    if isinstance(stream, KeyedStream) and keyed:
        factory = operators.async_keyed(func, call, stream._key)
    else:
        factory = operators.async_wait(func, call)
    keeps = method == "filter"
    return stream._add(
        label,
        factory,
        stream.schema if keeps else output_schema(name, output_type),
        functions=(func,),
        keyed=keyed,
        type_info=stream._type_info if keeps else output_type,
    )
