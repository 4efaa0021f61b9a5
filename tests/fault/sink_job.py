"""A job whose sink fails at scripted points of its two-phase commit.

A file called after a phase in the folder of scripts makes the next sink that gets there fail, once:

    pre-commit        before the data is made durable
    prepared          after that, before the checkpoint is complete
    commit            before anything is published
    half-commit       after the first of several
    post-commit       after all was published, the engine hears of a failure
    lost-ack          after all was published, the process dies
    repeated-commit   published twice in a row

The sink is the engine's file sink, or one for PostgreSQL written here as a user would write it.
"""

import argparse
import contextlib
import os
import signal

import msgspec

from lesto.common import WatermarkStrategy
from lesto.common.elements import Form
from lesto.common.sink import Committer, Sink, SinkWriter
from lesto.connectors.datagen import DataGenSource, pool, random_int, sequence
from lesto.connectors.files import FileSink
from lesto.datastream import StreamExecutionEnvironment

PHASES = (
    "pre-commit", "prepared", "commit", "half-commit", "post-commit", "lost-ack",
    "repeated-commit",
)  # fmt: skip


class ScriptedError(Exception):
    """A failure that was asked for."""


class Script:
    """Which phase fails next."""

    def __init__(self, folder):
        self.folder = folder

    def due(self, phase):
        """Whether it is this phase's turn; it is so once."""
        try:
            os.unlink(os.path.join(self.folder, phase))
        except FileNotFoundError:
            return False
        return True

    def stumble(self, phase):
        """Fail if it is."""
        if self.due(phase):
            raise ScriptedError(phase)


class ScriptedSink(Sink):
    """Another sink that stumbles."""

    def __init__(self, inner, script):
        self.inner, self.script = inner, script
        self.input_form = inner.input_form

    def create_writer(self, context):
        return _Writer(self.inner.create_writer(context), self.script)

    def create_committer(self):
        return _Committer(self.inner.create_committer(), self.script)


class _Writer(SinkWriter):
    def __init__(self, inner, script):
        self._inner, self._script = inner, script

    def write(self, batch):
        self._inner.write(batch)

    def prepare_commit(self, checkpoint_id):
        self._script.stumble("pre-commit")
        committables = self._inner.prepare_commit(checkpoint_id)
        if committables:
            self._script.stumble("prepared")
        return committables

    def flush(self):
        self._inner.flush()

    def close(self):
        self._inner.close()


class _Committer(Committer):
    def __init__(self, inner, script):
        self._inner, self._script = inner, script

    def commit(self, committables):
        self._script.stumble("commit")
        if self._script.due("half-commit"):
            self._inner.commit(committables[:1])
            raise ScriptedError("half-commit")
        self._inner.commit(committables)
        if self._script.due("repeated-commit"):
            self._inner.commit(committables)
        if self._script.due("lost-ack"):
            os.kill(os.getpid(), signal.SIGKILL)
        self._script.stumble("post-commit")

    def finish(self, ended):
        self._inner.finish(ended)

    def close(self):
        self._inner.close()


# -------------------------------------------------------------------------------------- PostgreSQL

_COLUMNS = "id, key, value, number, total, subtask, checkpoint_id, part, position"


class PostgresSink(Sink):
    """Rows into ``records``; a prepared transaction for each checkpoint and writer.

    The transaction also notes its name in ``commits``, so that a commit which is repeated is told
    from one whose transaction was lost.
    """

    input_form = Form.ROWS

    def __init__(self, dsn):
        self.dsn = dsn

    def create_writer(self, context):
        return _PostgresWriter(self.dsn, context)

    def create_committer(self):
        return _PostgresCommitter(self.dsn)


class _PostgresWriter(SinkWriter):
    def __init__(self, dsn, context):
        import psycopg

        self._name = f"{context.job_id[:8]}-{context.subtask}-"
        self._subtask = context.subtask
        self._attempt = context.attempt
        self._rows = []
        self._connection = psycopg.connect(dsn, autocommit=True)
        # What was restored is committed by now: all that is prepared under our name is abandoned.
        roll_back_prepared(self._connection, self._name)

    def write(self, batch):
        self._rows += [(r.id, int(r.key[4:]), r.value, r.number, r.total) for r in batch.values]

    def prepare_commit(self, checkpoint_id):
        if not self._rows:
            return []
        name = f"{self._name}{checkpoint_id}-{self._attempt}"
        rows, self._rows = self._rows, []
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            with cursor.copy(f"COPY records ({_COLUMNS}) FROM STDIN") as copy:
                for position, row in enumerate(rows):
                    copy.write_row((*row, self._subtask, checkpoint_id, 0, position))
            cursor.execute("INSERT INTO commits VALUES (%s, %s)", (name, checkpoint_id))
            cursor.execute(f"PREPARE TRANSACTION '{name}'")
        return [msgspec.msgpack.encode(name)]

    def close(self):
        self._connection.close()


class _PostgresCommitter(Committer):
    def __init__(self, dsn):
        self._dsn = dsn

    def commit(self, committables):
        import psycopg

        with psycopg.connect(self._dsn, autocommit=True) as connection:
            for committable in committables:
                name = msgspec.msgpack.decode(committable)
                found = connection.execute("SELECT 1 FROM commits WHERE name = %s", (name,))
                if found.fetchone():
                    continue
                try:
                    connection.execute(f"COMMIT PREPARED '{name}'")
                except psycopg.errors.UndefinedObject:
                    # An earlier attempt of us may have been faster, since we looked.
                    found = connection.execute("SELECT 1 FROM commits WHERE name = %s", (name,))
                    if not found.fetchone():
                        raise

    def finish(self, ended):
        import psycopg

        with psycopg.connect(self._dsn, autocommit=True) as connection:
            roll_back_prepared(connection, f"{ended.job_id[:8]}-{ended.subtask}-")


def roll_back_prepared(connection, prefix):
    """Give up prepared transactions by the beginning of their name."""
    import psycopg

    query = "SELECT gid FROM pg_prepared_xacts WHERE starts_with(gid, %s)"
    for (name,) in connection.execute(query, (prefix,)).fetchall():
        with contextlib.suppress(psycopg.errors.UndefinedObject):  # another was faster
            connection.execute(f"ROLLBACK PREPARED '{name}'")


def main():
    """Build and run."""
    from job import KEYS, Running  # beside this script

    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--script", required=True)
    parser.add_argument("--output")
    parser.add_argument("--postgres")
    args = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment()
    fields = {"id": sequence(), "key": pool(KEYS), "value": random_int(0, 99)}
    source = DataGenSource(fields, rows=args.rows, rows_per_second=args.rate)
    records = env.from_source(source, WatermarkStrategy.no_watermarks(), "records")
    sink = PostgresSink(args.postgres) if args.postgres else FileSink(args.output, "jsonl")
    records.key_by("key").process(Running()).sink_to(ScriptedSink(sink, Script(args.script)))
    env.execute("sinks")


if __name__ == "__main__":
    main()
