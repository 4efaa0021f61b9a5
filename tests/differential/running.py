"""Runs queries of the suite in a cluster, many in one job, and reads what they gave."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lesto.client.datastream.data_stream import DataStream
from lesto.client.jobmanager_client import ENDED_STATES, JobManagerClient
from lesto.client.table.catalog.manager import CatalogManager
from lesto.client.table.plan.physical.basic import changelog_rows
from lesto.client.table.plan.physical.translator import Translator
from lesto.client.table.sql.dialect import parse_statement
from lesto.client.table.sql.planner import Plan, Planner
from lesto.connectors.files import FileSink
from lesto.sql.settings import SqlSettings
from tests.differential import duck
from tests.differential.corpus import VIEWS, Query
from tests.differential.data import tables
from tests.differential.expected import entry, typed_rows
from tests.differential.flink import write
from tests.differential.rows import counted, difference
from tests.differential.source import StepSource
from tests.golden.harness import environment, finish, stop, wait_for

KINDS = ("I", "UB", "UA", "D")
#: Share of each table's steps at which a run that is stopped waits.
HOLD = 0.6
CHECKPOINT_INTERVAL = "300 ms"
#: Between two batches of a reader, in a run that is stopped.
PAUSE_MS = 12


def planner(
    folder: Path | None = None,
    *,
    hold: float | None = None,
    marker: Path | None = None,
    pause_ms: int = 0,
    batch: bool = False,
    single: bool = False,
) -> Planner:
    """A planner that knows the suite's tables and views; ``folder`` takes the one looked up in."""
    made = Planner(CatalogManager(), batch=batch)
    for table in tables().values():
        held = ""
        if marker is not None:
            (marker / table.name).mkdir(parents=True, exist_ok=True)
            held = str(marker / table.name)
        source = StepSource(table, single=single, hold=hold, marker=held, pause_ms=pause_ms)
        _define(made, table.ddl({"connector": "values"}), source)
    looked = replace(tables()["departments"], name="looked")
    options = {"connector": "values"} if folder is None else write(looked, folder)
    made.define(parse_statement(looked.ddl(options)))
    for name, text in VIEWS.items():
        made.define(parse_statement(f"CREATE VIEW {name} AS {text}"))
    return made


def _define(made: Planner, text: str, source: Any) -> None:
    parsed = parse_statement(text)
    table = made.table(parsed.statement, parsed.text)
    made.catalogs.create(parsed.statement.name, replace(table, source=source))


def build(env: Any, made: Planner, queries: list[Query], output: Path) -> list[Plan]:
    """Adds the queries to the environment's job; a folder of files for each."""
    zones = {q.zone for q in queries}
    assert len(zones) == 1, "one job has one time zone"
    t = Translator(env, SqlSettings(zones.pop(), made.batch))
    plans = [made.query(q.text) for q in queries]
    for query, plan, stream in zip(queries, plans, t.add_plans(plans), strict=True):
        rows = changelog_rows(t, plan.root, stream)
        sink = FileSink(str(output / query.name), "parquet")
        DataStream(env, rows.upstreams).sink_to(sink).name(query.name)
    return plans


def together(queries: list[Query], most: int) -> list[list[Query]]:
    """Queries that one job may carry out: of one time zone and the same options."""
    kinds: dict[str, list[Query]] = {}
    for query in queries:
        kinds.setdefault(repr((query.zone, query.options)), []).append(query)
    found = []
    for part in kinds.values():
        jobs = -(-len(part) // most)
        found += [part[i::jobs] for i in range(jobs)]
    return found


def read(output: Path, query: Query) -> list[tuple[str, tuple[Any, ...]]]:
    """The changes in published files."""
    found = []
    for path in sorted((output / query.name).glob("part-*")):
        table = pq.read_table(path)
        columns = [_values(c) for c in table.columns]
        for kind, *row in zip(*columns, strict=True):
            found.append((KINDS[kind], tuple(row)))
    return found


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    values = column.to_pylist()
    if pa.types.is_map(column.type):
        return [None if v is None else dict(v) for v in values]
    if pa.types.is_struct(column.type):
        return [None if v is None else list(v.values()) for v in values]
    return values


def applied(changes: list[tuple[str, tuple[Any, ...]]]) -> Counter[str]:
    """What is left; negative counts stay."""
    found: Counter[str] = Counter()
    for kind, row in changes:
        (text,) = counted([row])
        found[text] += 1 if kind in {"I", "UA"} else -1
    return Counter({text: n for text, n in found.items() if n})


def illegal(changes: list[tuple[str, tuple[Any, ...]]], announced: frozenset[str]) -> str:
    """What is wrong with changes: kinds not announced, rows taken back that are not there."""
    rows: Counter[str] = Counter()
    for i, (kind, row) in enumerate(changes):
        if kind not in announced:
            return f"change {i} is {kind} {row}, and only {sorted(announced)} were announced"
        (text,) = counted([row])
        rows[text] += 1 if kind in {"I", "UA"} else -1
        if rows[text] < 0:
            return f"change {i} takes back {text}, which is not there"
    return ""


def wanted(query: Query) -> Counter[str]:
    """The final rows of a query."""
    return Counter(
        json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in entry(query)["rows"]
    )


def check(query: Query, found: Counter[str]) -> str:
    """How rows differ from those expected; empty if they do not."""
    negative = [text for text, n in found.items() if n < 0]
    if negative:
        return f"taken back more often than given: {negative[:3]}"
    return difference(wanted(query), found)


def told(way: Any, cluster: Any, queries: list[Query], folder: Path, **how: Any) -> dict[str, str]:
    """What is wrong, by query. When the job fails, each is run alone, to see whose fault it is."""
    try:
        (folder / "together").mkdir()
        return way(cluster, queries, folder / "together", **how)
    except Exception as error:
        _cancel_all(cluster)
        wrong = {}
        for query in queries:
            own = folder / query.name
            own.mkdir()
            try:
                wrong |= way(cluster, [query], own, **how)
            except Exception as alone:
                _cancel_all(cluster)
                wrong[query.name] = f"{type(alone).__name__}: {alone}"
        return wrong or {"all together": f"{type(error).__name__}: {error}"}


def _cancel_all(cluster: Any) -> None:
    with JobManagerClient(cluster.address, cluster.token) as client:
        for job in client.jobs():
            if job.state not in ENDED_STATES:
                client.cancel(job.job_id)


def straight(
    cluster: Any, queries: list[Query], folder: Path, *, single: bool = False
) -> dict[str, str]:
    """To the end at parallelism 1: what is wrong, by query; ``single``: a batch for each row."""
    env = environment(cluster, parallelism=1, **queries[0].options)
    plans = build(env, planner(folder, single=single), queries, folder)
    finish(env.execute_async("straight"))
    wrong = {}
    for query, plan in zip(queries, plans, strict=True):
        changes = read(folder, query)
        said = check(query, applied(changes)) or illegal(changes, plan.changes.mode(plan.root))
        if said:
            wrong[query.name] = said
    return wrong


def batch(cluster: Any, queries: list[Query], folder: Path) -> dict[str, str]:
    """In batch mode: inserts alone, of the final rows; nothing is late."""
    env = environment(cluster, parallelism=2)
    queries = [q for q in queries if not q.changing]
    if not queries:
        return {}
    build(env, planner(folder, batch=True), queries, folder)
    finish(env.execute_async("batch"))
    wrong, db = {}, duck.connection()
    for query in queries:
        changes = read(folder, query)
        rows = wanted(query)
        if {"late", "streaming"} & set(query.tags):
            told_late = replace(query, tags=tuple(t for t in query.tags if t != "late"))
            rows = counted(typed_rows(duck.answer(db, told_late), entry(query)["columns"]))
        said = difference(rows, applied(changes)) or illegal(changes, frozenset("I"))
        if said:
            wrong[query.name] = said
    return wrong


def _completed(job: Any) -> bool:
    return job.client.job(job.job_id).checkpoints.latest_completed is not None


def stopped_and_restored(
    cluster: Any, queries: list[Query], folder: Path, *, backends: tuple[str, str]
) -> dict[str, str]:
    """At parallelism 2 with checkpoints until it is stopped, then at 3 to the end."""
    marker, output = folder / "marker", folder / "out"
    env = environment(
        cluster, parallelism=2,
        **{"execution.checkpointing.interval": CHECKPOINT_INTERVAL,
           "state.backend.type": backends[0], **queries[0].options},
    )  # fmt: skip
    queries = [q for q in queries if q.tables]  # what only computes is done before it is stopped
    if not queries:
        return {}
    read_tables = set.union(*(q.tables for q in queries)) & set(tables())
    build(env, planner(folder, hold=HOLD, marker=marker, pause_ms=PAUSE_MS), queries, output)
    with env.execute_async("stopped") as job:
        folders = [marker / name for name in read_tables]
        wait_for(
            lambda: all(len(list(f.iterdir())) == tables()[f.name].splits for f in folders),
            job, what="the sources at their hold",
        )  # fmt: skip
        wait_for(lambda: _completed(job), job, what="a checkpoint")
        path = stop(job, folder / "savepoints")
    env = environment(
        cluster, parallelism=3, savepoint=path,
        **{"state.backend.type": backends[1], **queries[0].options},
    )  # fmt: skip
    build(env, planner(folder), queries, output)
    details = finish(env.execute_async("restored"))
    assert details.checkpoints.restored == 1, details.checkpoints
    wrong = {}
    for query in queries:
        said = check(query, applied(read(output, query)))
        if said:
            wrong[query.name] = said
    return wrong
