"""Flink's options of SQL: with effect, named as without effect, or refused."""

import pytest

from lesto.client.table.environment import TableEnvironment
from lesto.client.table.plan.physical.translator import Translator
from lesto.client.table.settings import EnvironmentSettings, table_options
from lesto.client.table.udf import udf
from lesto.common import options
from lesto.common.config import (
    Configuration,
    IgnoredOptionWarning,
    UnknownOptionError,
    UnsupportedOptionError,
)

#: All keys of Flink 2.3's TableConfigOptions, ExecutionConfigOptions, OptimizerConfigOptions and
#: MaterializedTableConfigOptions.
KEYS = [
    "table.builtin-catalog-name",
    "table.builtin-database-name",
    "table.catalog-modification.listeners",
    "table.column-expansion-strategy",
    "table.default-freshness.continuous",
    "table.default-freshness.full",
    "table.default-start-mode",
    "table.display.max-column-width",
    "table.dml-sync",
    "table.dynamic-table-options.enabled",
    "table.exec.async-lookup.buffer-capacity",
    "table.exec.async-lookup.key-ordered-enabled",
    "table.exec.async-lookup.output-mode",
    "table.exec.async-lookup.timeout",
    "table.exec.async-ml-predict.max-concurrent-operations",
    "table.exec.async-ml-predict.output-mode",
    "table.exec.async-ml-predict.timeout",
    "table.exec.async-scalar.buffer-capacity",
    "table.exec.async-scalar.max-attempts",
    "table.exec.async-scalar.max-concurrent-operations",
    "table.exec.async-scalar.retry-delay",
    "table.exec.async-scalar.retry-strategy",
    "table.exec.async-scalar.timeout",
    "table.exec.async-state.enabled",
    "table.exec.async-table.max-concurrent-operations",
    "table.exec.async-table.max-retries",
    "table.exec.async-table.retry-delay",
    "table.exec.async-table.retry-strategy",
    "table.exec.async-table.timeout",
    "table.exec.async-vector-search.max-concurrent-operations",
    "table.exec.async-vector-search.output-mode",
    "table.exec.async-vector-search.timeout",
    "table.exec.deduplicate.insert-update-after-sensitive-enabled",
    "table.exec.deduplicate.mini-batch.compact-changes-enabled",
    "table.exec.delta-join.cache-enabled",
    "table.exec.delta-join.left.cache-size",
    "table.exec.delta-join.right.cache-size",
    "table.exec.disabled-operators",
    "table.exec.interval-join.min-cleanup-interval",
    "table.exec.legacy-cast-behaviour",
    "table.exec.local-hash-agg.adaptive.distinct-value-rate-threshold",
    "table.exec.local-hash-agg.adaptive.enabled",
    "table.exec.local-hash-agg.adaptive.sampling-threshold",
    "table.exec.mini-batch.allow-latency",
    "table.exec.mini-batch.enabled",
    "table.exec.mini-batch.size",
    "table.exec.operator-fusion-codegen.enabled",
    "table.exec.rank.topn-cache-size",
    "table.exec.resource.default-parallelism",
    "table.exec.resource.external-buffer-memory",
    "table.exec.resource.hash-agg.memory",
    "table.exec.resource.hash-join.memory",
    "table.exec.resource.sort.memory",
    "table.exec.simplify-operator-name-enabled",
    "table.exec.sink.keyed-shuffle",
    "table.exec.sink.nested-constraint-enforcer",
    "table.exec.sink.not-null-enforcer",
    "table.exec.sink.require-on-conflict",
    "table.exec.sink.rowtime-inserter",
    "table.exec.sink.type-length-enforcer",
    "table.exec.sink.upsert-materialize",
    "table.exec.sink.upsert-materialize-strategy.adaptive.threshold.high",
    "table.exec.sink.upsert-materialize-strategy.adaptive.threshold.low",
    "table.exec.sink.upsert-materialize-strategy.type",
    "table.exec.sort.async-merge-enabled",
    "table.exec.sort.default-limit",
    "table.exec.sort.max-num-file-handles",
    "table.exec.source.cdc-events-duplicate",
    "table.exec.source.idle-timeout",
    "table.exec.spill-compression.block-size",
    "table.exec.spill-compression.enabled",
    "table.exec.state.ttl",
    "table.exec.uid.format",
    "table.exec.uid.generation",
    "table.exec.unbounded-over.version",
    "table.exec.window-agg.buffer-size-limit",
    "table.generated-code.max-length",
    "table.generated-code.max-members",
    "table.legacy-nested-row-nullability",
    "table.local-time-zone",
    "table.optimizer.adaptive-broadcast-join.strategy",
    "table.optimizer.agg-phase-strategy",
    "table.optimizer.bushy-join-reorder-threshold",
    "table.optimizer.delta-join.strategy",
    "table.optimizer.distinct-agg.split.bucket-num",
    "table.optimizer.distinct-agg.split.enabled",
    "table.optimizer.dynamic-filtering.enabled",
    "table.optimizer.incremental-agg-enabled",
    "table.optimizer.join-reorder-enabled",
    "table.optimizer.join.broadcast-threshold",
    "table.optimizer.multi-join.enabled",
    "table.optimizer.multiple-input-enabled",
    "table.optimizer.non-deterministic-update.strategy",
    "table.optimizer.plan-cache.enabled",
    "table.optimizer.ptf.max-tables",
    "table.optimizer.reuse-optimize-block-with-digest-enabled",
    "table.optimizer.reuse-sink-enabled",
    "table.optimizer.reuse-source-enabled",
    "table.optimizer.reuse-sub-plan-enabled",
    "table.optimizer.runtime-filter.enabled",
    "table.optimizer.runtime-filter.max-build-data-size",
    "table.optimizer.runtime-filter.min-filter-ratio",
    "table.optimizer.runtime-filter.min-probe-data-size",
    "table.optimizer.skewed-join-optimization.skewed-factor",
    "table.optimizer.skewed-join-optimization.skewed-threshold",
    "table.optimizer.skewed-join-optimization.strategy",
    "table.optimizer.source.report-statistics-enabled",
    "table.optimizer.sql2rel.project-merge.enabled",
    "table.optimizer.union-all-as-breakpoint-enabled",
    "table.plan.compile.catalog-objects",
    "table.plan.force-recompile",
    "table.plan.restore.catalog-objects",
    "table.refresh-mode.freshness-threshold",
    "table.resources.download-dir",
    "table.rtas-ctas.atomicity-enabled",
    "table.sql-dialect",
]


def test_each_key_of_flink_is_known():
    known = {*options.known_options(), *options.known_aliases(), *options.FIXED}
    assert [key for key in KEYS if key not in known] == []


def test_no_key_is_both_an_option_and_fixed():
    assert not set(options.FIXED) & {*options.known_options(), *options.known_aliases()}


@pytest.mark.parametrize("key", sorted(k for k, (values, _) in options.FIXED.items() if not values))
def test_what_only_tunes_flink_is_named_as_without_effect(key):
    with pytest.warns(IgnoredOptionWarning, match=f"'{key}' is Flink's and without effect"):
        Configuration().set(key, "1")


@pytest.mark.parametrize("key", sorted(k for k, (values, _) in options.FIXED.items() if values))
def test_what_results_depend_on_is_refused(key):
    config = Configuration()
    config.set(key, options.FIXED[key][0][0].upper())  # what Lesto does
    with pytest.raises(UnsupportedOptionError, match=f"'{key}' cannot be 'odd'"):
        config.set(key, "odd")


def test_a_key_that_nobody_has():
    with pytest.raises(
        UnknownOptionError, match=r"did you mean 'table\.exec\.sort\.default-limit'"
    ):
        Configuration().set("table.exec.sort.default-limt", "1")


def test_options_of_async_functions_reach_their_calls():
    @udf
    async def waits(x: int) -> int:
        return x

    t_env = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    t_env.create_temporary_function("waits", waits)
    for key, value in (
        ("max-concurrent-operations", "3"),
        ("timeout", "5 s"),
        ("max-attempts", "2"),
        ("retry-delay", "7 ms"),
    ):
        t_env.execute_sql(f"SET 'table.exec.async-scalar.{key}' = '{value}'")
    session = t_env._session
    plan = session.planner.query(
        "SELECT CASE WHEN x > 0 THEN waits(x) + 1 END FROM (VALUES 1) t(x)"
    )
    Translator(session.env, options=table_options(session.config)).add_plan(plan)
    [call] = [
        c
        for e in plan.root.expressions
        for c in _users(e)
    ]  # fmt: skip
    found = (call.concurrent, call.timeout_ms, call.attempts, call.retry_delay_ms)
    assert found == (3, 5_000, 2, 7)


def _users(expression):
    from lesto.sql.expressions import Call, walk

    return [e.user for e in walk(expression) if isinstance(e, Call) and e.user is not None]
