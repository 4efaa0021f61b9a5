"""The statements of a Nexmark query: tables, and a sink that drops its rows (q10: files)."""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
ALL = tuple(f"q{n}" for n in range(23))
#: Rows of q13's bounded table.
SIDE_ROWS = 10_000
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)
_DROP = "CREATE TABLE results WITH ('connector' = 'blackhole') AS\n"
_FILES = (
    "CREATE TABLE results (auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3),"
    " extra STRING, dt STRING, hm STRING) PARTITIONED BY (dt, hm) WITH ('connector' = 'filesystem',"
    " 'path' = '{path}', 'format' = 'csv', 'sink.partition-commit.trigger' = 'process-time')"
)


def script_of(query, events, folder):
    """Statements for either engine; a job for the last one.

    Args:
        query: ``q0`` to ``q22``.
        events: how many.
        folder: for files.
    """
    tables = _COMMENT.sub("", (HERE / "tables.sql").read_text())
    tables = tables.replace("= 'nexmark'", f"= 'nexmark', 'events.num' = '{events}'")
    side = folder / "side_input.csv"
    if not side.exists():
        side.write_text("".join(f"{n},{n}\n" for n in range(SIDE_ROWS)))
    tables = tables.replace("side_input.csv", f"file://{side}")
    text = _COMMENT.sub("", (HERE / f"{query}.sql").read_text()).strip()
    found = [s.strip() for s in tables.split(";\n") if s.strip()]
    found[-1] = found[-1].rstrip(";")
    if query == "q10":
        return [
            *found,
            _FILES.format(path=f"file://{folder}/result"),
            f"INSERT INTO results {text}",
        ]
    return [*found, _DROP + text]
