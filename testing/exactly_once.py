"""Proves of one pipeline that failures neither lose nor repeat anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lesto.client.datastream.data_stream import DataStream
from lesto.client.minicluster import MiniCluster
from lesto.common.errors import Domain, LestoError
from lesto.common.watermarks import WatermarkStrategy
from lesto.testing.cluster import environment_on
from lesto.testing.errors import TestKitError
from lesto.testing.scripted_source import ABORT, CHECKPOINT, ScriptedSource
from lesto.testing.sink import CollectingSink

#: Differences that an error shows, of each kind.
SHOWN = 5


class ExactlyOnceError(LestoError, AssertionError):
    """Results with failures differ from those without."""

    code = "LESTO-7004"
    domain = Domain.USER
    retryable = False


def assert_exactly_once(
    cluster: MiniCluster,
    pipeline: Callable[[DataStream], DataStream],
    items: Sequence[Any],
    *,
    failures: Iterable[int] | None = None,
    parallelism: int = 1,
    watermarks: WatermarkStrategy | None = None,
    config: Mapping[str, Any] | None = None,
    key: Callable[[Any], Any] = repr,
) -> list[Any]:
    """Run a pipeline without failures and with them, and compare what reaches the sink.

    In the second run the task of the source fails behind some of the items; before each failure a
    checkpoint is complete whose records must not come again, and items follow it which must.
    Results are compared as multisets: order between keys is open in a parallel pipeline.

    Args:
        cluster: a started cluster.
        pipeline: from the stream of items to the stream of results.
        items: what the source reads, in order.
        failures: numbers of items behind which it fails; by default after a third and two thirds.
        parallelism: of the second run; the first runs at 1.
        watermarks: how event time follows from the items.
        config: options of both runs.
        key: makes results comparable; by default their ``repr``.

    Returns:
        The results of the run without failures.

    Raises:
        ExactlyOnceError: a result is lost or comes twice; shows which.
        TestKitError: there are too few items to fail between.
    """
    points = sorted(set(failures if failures is not None else _thirds(len(items))))
    if not points or points[0] < 1 or points[-1] > len(items):
        msg = f"failures behind the items {points} of {len(items)}"
        raise TestKitError(msg, remedy="give items, and numbers from 1 to their count")
    strategy = watermarks or WatermarkStrategy.no_watermarks()

    def results(source: ScriptedSource, width: int) -> list[Any]:
        env = environment_on(cluster, parallelism=width, config=config)
        sink = CollectingSink()
        pipeline(env.from_source(source, strategy, "items")).sink_to(sink)
        env.execute("exactly once?")
        return sink.results

    straight = results(ScriptedSource(items), 1)
    failed = results(ScriptedSource(with_failures(items, points)), parallelism)
    _compare(Counter(map(key, straight)), Counter(map(key, failed)))
    return straight


def with_failures(items: Sequence[Any], points: Sequence[int]) -> list[Any]:
    """The script: a checkpoint halfway to each failure, so that there is something to read again.

    >>> with_failures([1, 2, 3, 4], [2])
    [1, CHECKPOINT, 2, Abort(times=1), 3, 4]
    """
    script: list[Any] = []
    start = 0
    for point in points:
        middle = (start + point) // 2
        script += [*items[start:middle], CHECKPOINT, *items[middle:point], ABORT]
        start = point
    return [*script, *items[start:]]


def _thirds(count: int) -> list[int]:
    return [p for p in (count // 3, 2 * count // 3) if p >= 1]


def _compare(wanted: Counter[Any], found: Counter[Any]) -> None:
    lost, extra = wanted - found, found - wanted
    if lost or extra:
        msg = (
            f"{lost.total()} results lost{_examples(lost)},"
            f" {extra.total()} too many{_examples(extra)}"
        )
        raise ExactlyOnceError(
            msg, remedy="look for state kept outside of Lesto's, and for sinks without two phases"
        )


def _examples(results: Counter[Any]) -> str:
    shown = ", ".join(f"{value}" for value, _ in results.most_common(SHOWN))
    return f" ({shown}{', ...' if len(results) > SHOWN else ''})" if results else ""
