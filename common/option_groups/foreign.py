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
    "web.submit.",
    "web.upload.",
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
