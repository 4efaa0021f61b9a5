"""Flink's own SQL client, unchanged, on Lesto's SQL gateway. Opt-in: LESTO_TEST_FLINK=1."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from submission_server import serve

PEERS = Path(__file__).resolve().parents[2] / "build" / "peers"
FLINK = PEERS / "pyflink" / "lib"
GATEWAY = PEERS / "sql-gateway"
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        os.environ.get("LESTO_TEST_FLINK") != "1",
        reason="set LESTO_TEST_FLINK=1: it takes a JVM a statement file",
    ),
    pytest.mark.leaks_ok("threads and sockets of the server", only=("threads", "fds")),
]

SCRIPT = """
SET 'sql-client.execution.result-mode' = 'tableau';
CREATE TABLE src (a INT, b STRING) WITH ('connector'='datagen', 'number-of-rows'='10',
  'fields.a.kind'='sequence', 'fields.a.start'='1', 'fields.a.end'='10');
DESCRIBE src;
SELECT a, CAST(a AS DECIMAL(8, 2)) AS d, ARRAY[a] AS arr, a > 3 AS big FROM src;
SELECT a % 2 AS k, COUNT(*) AS n FROM src GROUP BY a % 2;
CREATE TABLE bh (a INT) WITH ('connector'='blackhole');
EXPLAIN INSERT INTO bh SELECT a FROM src;
INSERT INTO bh SELECT a FROM src;
BEGIN STATEMENT SET;
INSERT INTO bh SELECT a FROM src;
INSERT INTO bh SELECT a + 1 FROM src;
END;
SELECT nope FROM src;
"""


def jars():
    """The classes of Flink's SQL client."""
    homes = list(FLINK.glob("python3.*/site-packages/pyflink"))
    found = sorted(GATEWAY.glob("flink-sql-gateway*.jar"))
    if shutil.which("java") is None or not homes or not found:
        pytest.skip(
            "needs java, build/peers/pyflink (pip install apache-flink==2.3.0) and "
            "build/peers/sql-gateway (flink-sql-gateway-2.3.0.jar and flink-sql-gateway-api-"
            "2.3.0.jar of Maven Central)"
        )
    home = homes[0]
    found += [*home.glob("lib/*.jar"), *home.glob("opt/flink-sql-client*.jar")]
    return home, ":".join(map(str, [*found, *home.glob("opt/flink-python*.jar")]))


def test_flinks_sql_client_works_unchanged(tmp_path):
    home, classes = jars()
    script = tmp_path / "script.sql"
    script.write_text(SCRIPT)
    with serve(tmp_path) as server:
        url = f"http://{server.rest.address}/sql"
        client = ["java", "-Xmx512m", "-cp", classes, "org.apache.flink.table.client.SqlClient"]
        ended = subprocess.run(
            [*client, "gateway", "-e", url, "-f", str(script)],
            env={**os.environ, "FLINK_CONF_DIR": str(home / "conf"), "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        jobs = server.http.get("/jobs").json()["jobs"]
    shown = ended.stdout
    assert re.search(r"\| *\+I \| +7 \| +7\.00 \| +\[7\] \| +TRUE \|", shown), shown
    assert "Received a total of 10 rows" in shown
    assert re.search(r"\| *\+[IU] \| +1 \| +5 \|", shown), shown
    assert "Physical Plan" in shown
    assert shown.count("Job ID: ") == 2
    assert "LESTO-2132: there is no column nope" in shown + ended.stderr
    assert "what to do: columns in scope are a, b" in shown + ended.stderr
    assert len(jobs) == 4
