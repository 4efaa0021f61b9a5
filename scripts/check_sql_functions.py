"""Asks Flink for the value and type of every example of a SQL function.

Run by scripts/check-sql-functions. It starts itself again in PyFlink's virtual environment, where
nothing of Lesto is importable: hence --flink, and JSON files between the two.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ROOT / "tests/unit/sql/flink_checked.json"
PROBES = ROOT / "tests/unit/sql/probes.txt"
PYTHON = ROOT / "build/peers/pyflink/bin/python"
CHUNK = 24
AGGREGATE_SOURCE = "(VALUES {rows}) AS T(x, y, d, f)"


def cases():
    """What is asked: SQL texts of scalars, and of aggregates."""
    sys.path.insert(0, str(ROOT / "tests/support"))
    from lesto.sql.aggregates.table import EXAMPLE_ROWS, aggregates
    from lesto.sql.functions import table

    scalars = [sql for f in table.functions() for sql, _ in f.examples]
    probes = [line for line in PROBES.read_text().splitlines() if line and line[0] != "#"]
    form = "(CAST({} AS INT), CAST({} AS STRING), CAST({} AS DECIMAL(10, 2)), CAST({} AS DOUBLE))"
    rows = ", ".join(
        form.format(*["NULL" if v is None else repr(v) for v in row]) for row in EXAMPLE_ROWS
    )
    return {
        "scalars": list(dict.fromkeys(scalars + probes)),
        "aggregates": [sql for a in aggregates() for sql, _ in a.examples],
        "source": AGGREGATE_SOURCE.format(rows=rows),
    }


def ask_flink(asked, answers):
    """Within PyFlink: value as text, and type, or the error, of each text."""
    from pyflink.table import EnvironmentSettings, TableEnvironment

    env = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    for key, value in {
        "table.exec.resource.default-parallelism": "1",
        "parallelism.default": "1",
    }.items():
        env.get_config().set(key, value)
    work = json.loads(Path(asked).read_text())
    found = {}

    def run(texts, source):
        (zone,) = {sql.split()[0][1:] if sql[0] == "@" else "UTC" for sql in texts}
        env.get_config().set("table.local-time-zone", zone)
        marked, texts = texts, [sql.partition(" ")[2] if sql[0] == "@" else sql for sql in texts]
        columns = [
            f"CAST({sql} AS STRING) AS v{i}, TYPEOF({sql}) AS t{i}" for i, sql in enumerate(texts)
        ]
        query = f"SELECT {', '.join(columns)}" + (f" FROM {source}" if source else "")
        with env.execute_sql(query).collect() as rows:
            (row,) = list(rows)
        return {sql: {"value": row[2 * i], "type": row[2 * i + 1]} for i, sql in enumerate(marked)}

    def unfolded(sql, source):
        """The planner fails on some constants: hide from it that dates and times are such."""
        hidden = re.sub(
            r"\b(DATE|TIME|TIMESTAMP) ('[^']*')", r"CAST(CONCAT(\2, LEFT(UUID(), 0)) AS \1)", sql
        ).replace("AS TIMESTAMP)", "AS TIMESTAMP(0))")
        if hidden == sql:
            return None
        try:
            (answer,) = run([hidden], source).values()
        except Exception:  # noqa: BLE001 - then the first error stands
            return None
        return answer | {"asked": hidden}

    def halve(texts, source):
        try:
            found.update(run(texts, source))
        except Exception as error:  # noqa: BLE001 - Java's, of any kind
            if len(texts) == 1:
                found[texts[0]] = unfolded(texts[0], source) or {"error": reason(error)}
                return
            middle = len(texts) // 2
            halve(texts[:middle], source)
            halve(texts[middle:], source)

    for kind, source in (("scalars", None), ("zoned", None), ("aggregates", work["source"])):
        texts = [x for x in work["scalars"] if x[0] == "@"] if kind == "zoned" else work[kind]
        texts = [x for x in texts if (x[0] == "@") is (kind == "zoned")]
        for at in range(0, len(texts), CHUNK):
            halve(texts[at : at + CHUNK], source)
            print(kind, at, "of", len(texts), flush=True)
    Path(answers).write_text(json.dumps(found))


def reason(error):
    """The innermost message of a chain of Java exceptions, short."""
    lines = [
        line.strip() for line in f"{error} {getattr(error, 'java_exception', '')}".splitlines()
    ]
    causes = [line for line in lines if line.startswith(("Caused by:", ": org", ": java", "org."))]
    return (causes[-1] if causes else lines[0] if lines else type(error).__name__)[:200]


def compare(checked):
    """Print where Lesto says something else; the number of differences."""
    sys.path.insert(0, str(ROOT / "tests/support"))
    from sql_checked import KNOWN, differences

    found = differences(checked["cases"])
    for sql, what in found.items():
        print(f"{'known  ' if sql in KNOWN else 'DIFFERS'} {sql}: {what}")
    unknown = [sql for sql in found if sql not in KNOWN]
    print(f"{len(checked['cases'])} checked, {len(found)} differ, {len(unknown)} of them unknown")
    return len(unknown)


def main():
    if sys.argv[1:2] == ["--flink"]:
        ask_flink(*sys.argv[2:4])
        return 0
    if "--compare" not in sys.argv:
        if not PYTHON.exists():
            print("no PyFlink in build/peers/pyflink: run benchmarks/peers/setup")
            return 2
        asked, answers = ROOT / "build/sql-asked.json", ROOT / "build/sql-answers.json"
        work = cases()
        known = {}
        if "--missing" in sys.argv:
            known = {c.pop("sql"): c for c in json.loads(CHECKED.read_text())["cases"]}
        wanted = {
            k: [x for x in work[k] if "value" not in known.get(x, {})]
            for k in ("scalars", "aggregates")
        }
        asked.write_text(json.dumps(work | wanted))
        subprocess.run(
            [PYTHON, "-P", __file__, "--flink", asked, answers], check=True, timeout=1200
        )
        found = known | json.loads(answers.read_text())
        order = work["scalars"] + work["aggregates"]
        document = {"flink": "2.3.0", "cases": [{"sql": sql, **found[sql]} for sql in order]}
        CHECKED.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return 1 if compare(json.loads(CHECKED.read_text())) else 0


if __name__ == "__main__":
    sys.exit(main())
