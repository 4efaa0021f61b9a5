"""Flink's keys that are no options here."""

from __future__ import annotations

IGNORED_PREFIXES = (
    "akka.",
    "blob.",
    "classloader.",
    "env.java.",
    "env.log.",
    "jobmanager.memory.",
    "pekko.",
    "pipeline.classpaths",
    "pipeline.jars",
    "pipeline.force-avro",
    "pipeline.force-kryo",
    "pipeline.generic-types",
    "pipeline.object-reuse",
    "pipeline.serialization-config",
    "pipeline.registered-",
    "python.",
    "state.backend.rocksdb.memory.",
    "state.backend.latency-track.",
    "taskmanager.memory.",
    "taskmanager.network.memory.",
    "taskmanager.network.netty.",
)


#: Flink's keys that ask for something Lesto does not do: an error, by name.
UNSUPPORTED = {
    "execution.checkpointing.unaligned.interruptible-timers.enabled": "timers are not interrupted",
    "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file": "a task writes its "
    "in-flight data into a file of its own",
    "execution.checkpointing.unaligned.recover-output-on-downstream.enabled": "in-flight data is "
    "always recovered by its receivers",
    "execution.checkpointing.during-recovery.enabled": "a checkpoint starts once all tasks run",
    "execution.checkpointing.recover-without-channel-state.checkpoint-id": "in-flight data is "
    "never ignored",
    "execution.checkpointing.interval-during-backlog": "sources do not report a backlog",
    "execution.checkpointing.storage": "checkpoints are always in execution.checkpointing.dir",
    "execution.checkpointing.create-subdir": "each job has its own directory",
    "execution.checkpointing.data-inline-threshold": "keyed state is in files, other state inline",
    "execution.checkpointing.write-buffer-size": "files are written as a whole",
    "execution.checkpointing.file-merging.": "files are not merged",
    "execution.checkpointing.snapshot-compression": "snapshots are always compressed",
    "execution.checkpointing.cleaner.parallel-mode": "checkpoints are deleted one after another",
    "execution.checkpointing.region.": "a checkpoint is of the whole job",
    "pipeline.sources.pause-until-first-checkpoint": "sources start at once",
    "state.changelog.": "there is no changelog backend",
}


#: Flink's options of SQL whose meaning here is fixed: the values that say what Lesto does anyway
#: (in small letters; none: any value), and why another one cannot be had.
FIXED = {
    # How Flink's planner and operators go about it: nothing here to tune.
    **dict.fromkeys(
        (
            "table.exec.async-lookup.buffer-capacity",
            "table.exec.async-lookup.key-ordered-enabled",
            "table.exec.async-lookup.output-mode",
            "table.exec.async-lookup.timeout",
            "table.exec.async-state.enabled",
            "table.exec.deduplicate.mini-batch.compact-changes-enabled",
            "table.exec.interval-join.min-cleanup-interval",
            "table.exec.local-hash-agg.adaptive.distinct-value-rate-threshold",
            "table.exec.local-hash-agg.adaptive.enabled",
            "table.exec.local-hash-agg.adaptive.sampling-threshold",
            "table.exec.operator-fusion-codegen.enabled",
            "table.exec.rank.topn-cache-size",
            "table.exec.resource.external-buffer-memory",
            "table.exec.resource.hash-agg.memory",
            "table.exec.resource.hash-join.memory",
            "table.exec.resource.sort.memory",
            "table.exec.simplify-operator-name-enabled",
            "table.exec.sink.upsert-materialize-strategy.adaptive.threshold.high",
            "table.exec.sink.upsert-materialize-strategy.adaptive.threshold.low",
            "table.exec.sink.upsert-materialize-strategy.type",
            "table.exec.sort.async-merge-enabled",
            "table.exec.sort.max-num-file-handles",
            "table.exec.spill-compression.block-size",
            "table.exec.spill-compression.enabled",
            "table.exec.unbounded-over.version",
            "table.exec.window-agg.buffer-size-limit",
            "table.generated-code.max-length",
            "table.generated-code.max-members",
            "table.optimizer.adaptive-broadcast-join.strategy",
            "table.optimizer.bushy-join-reorder-threshold",
            "table.optimizer.delta-join.strategy",
            "table.exec.delta-join.cache-enabled",
            "table.exec.delta-join.left.cache-size",
            "table.exec.delta-join.right.cache-size",
            "table.optimizer.dynamic-filtering.enabled",
            "table.optimizer.incremental-agg-enabled",
            "table.optimizer.join-reorder-enabled",
            "table.optimizer.join.broadcast-threshold",
            "table.optimizer.multi-join.enabled",
            "table.optimizer.multiple-input-enabled",
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
            "table.resources.download-dir",
            "table.default-freshness.continuous",
            "table.default-freshness.full",
            "table.default-start-mode",
            "table.refresh-mode.freshness-threshold",
        ),
        ((), "it tunes how Flink works, and changes no result"),
    ),
    # What a result would depend on: other values are refused.
    "table.catalog-modification.listeners": (("",), "changes of catalogs are told to nobody"),
    "table.column-expansion-strategy": (("",), "* stands for all columns"),
    "table.dynamic-table-options.enabled": (("true",), "OPTIONS hints always count"),
    "table.exec.async-scalar.retry-strategy": (("fixed_delay",), "calls are tried again"),
    "table.exec.deduplicate.insert-update-after-sensitive-enabled": (
        ("true",),
        "the first row of a key is an insert",
    ),
    "table.exec.disabled-operators": (("",), "no operator can be switched off"),
    "table.exec.legacy-cast-behaviour": (("disabled",), "a cast that fails is an error"),
    "table.exec.sink.keyed-shuffle": (
        ("auto", "none"),
        "rows are exchanged by a sink's key only where their order needs it",
    ),
    "table.exec.sink.nested-constraint-enforcer": (("ignore",), "fields of rows are not checked"),
    "table.exec.sink.require-on-conflict": (("false",), "ON CONFLICT is not needed"),
    "table.exec.sink.rowtime-inserter": (("enabled", "disabled"), "timestamps are columns"),
    "table.exec.sink.type-length-enforcer": (("ignore",), "lengths are not enforced"),
    "table.exec.sink.upsert-materialize": (
        ("auto",),
        "a sink's changes are put in order by its key where they could overtake each other",
    ),
    "table.exec.sort.default-limit": (("-1",), "a sort has the LIMIT that its query says"),
    "table.exec.source.cdc-events-duplicate": (("false",), "each change is taken once"),
    "table.exec.uid.format": (("<id>_<transformation>",), "ids come from the plan"),
    "table.exec.uid.generation": (("plan_only", "always"), "operators always have ids"),
    "table.legacy-nested-row-nullability": (("false",), "NULL of a row's fields is as declared"),
    "table.optimizer.non-deterministic-update.strategy": (
        ("ignore",),
        "plans are not checked for results that a second look would change",
    ),
    "table.rtas-ctas.atomicity-enabled": (
        ("false",),
        "the table is there before its rows are, and goes if the job cannot start",
    ),
    **dict.fromkeys(
        (
            f"table.exec.async-{what}.{key}"
            for what in ("ml-predict", "vector-search", "table")
            for key in (
                "max-concurrent-operations", "output-mode", "timeout", "max-retries",
                "retry-delay", "retry-strategy",
            )
        ),
        ((), "there are no such asynchronous operators"),
    ),
}  # fmt: skip
