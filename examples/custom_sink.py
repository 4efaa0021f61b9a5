"""A sink of one's own in plain Python, exactly once: rows of a SQLite database.

Each checkpoint's records become a file beside the database; when the checkpoint is complete they
are inserted together with the file's name, so that a file is inserted once however often it is
committed.

Run it with ``python examples/custom_sink.py numbers.db``.
"""

import json
import sqlite3
import sys
import uuid
from contextlib import closing, suppress
from pathlib import Path

from lesto.connectors.plain import TwoPhaseSink
from lesto.datastream import StreamExecutionEnvironment


class SqliteSink(TwoPhaseSink):
    """Inserts pairs into the table ``results``."""

    def __init__(self, database):
        self.database = str(database)
        with closing(sqlite3.connect(self.database)) as db, db:
            db.execute("create table if not exists results (key, value)")
            db.execute("create table if not exists committed (name primary key)")

    def begin(self, context):
        path = f"{self.database}.{context.attempt}-{context.subtask}-{uuid.uuid4().hex}"
        return open(path, "w")

    def write(self, transaction, records):
        transaction.writelines(json.dumps(record) + "\n" for record in records)

    def prepare(self, transaction):
        transaction.close()
        return transaction.name

    def commit(self, prepared):
        with closing(sqlite3.connect(self.database, timeout=30)) as db, db:
            db.execute("begin immediate")
            if not db.execute("select 1 from committed where name = ?", [prepared]).fetchone():
                with open(prepared) as file:
                    db.executemany("insert into results values (?, ?)", map(json.loads, file))
                db.execute("insert into committed values (?)", [prepared])
        with suppress(FileNotFoundError):
            Path(prepared).unlink()

    def abort(self, transaction):
        transaction.close()
        Path(transaction.name).unlink()


def build(env, database):
    """Squares of a thousand numbers."""
    squares = env.from_sequence(1, 1000).map(lambda number: (number, number * number))
    return squares.sink_to(SqliteSink(database))


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    build(env, sys.argv[1] if len(sys.argv) > 1 else "squares.db")
    env.execute("squares")


if __name__ == "__main__":
    main()
