"""SQL over REST: Flink's SQL Gateway, a process a session."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from submission_server import eventually, serve

from lesto.jobmanager.server.submission.sessions import SqlSessions

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("threads and sockets of the server", only=("threads", "fds")),
]
ENDLESS = "CREATE TABLE endless (a INT) WITH ('connector'='datagen', 'rows-per-second'='50')"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    options = {"sql-gateway.session.max-num": 3}
    with serve(tmp_path_factory.mktemp("tmp"), slots=4, **options) as served:
        properties = {"parallelism.default": "1", "rest.port": "1", "$internal.x": "y"}
        served.shared = Sql(served, **properties)
        yield served


class Sql:
    """A session of the gateway."""

    def __init__(self, server, version="v3", **properties):
        self.server = server
        self.http = server.http
        answer = self.http.post(f"/sql/{version}/sessions", json={"properties": properties})
        assert answer.status_code == 200, answer.text
        self.handle = answer.json()["sessionHandle"]
        self.path = f"/sql/{version}/sessions/{self.handle}"

    def start(self, statement, **more):
        answer = self.http.post(f"{self.path}/statements", json={"statement": statement, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["operationHandle"]

    def result_path(self, operation, token=0):
        return f"{self.path}/operations/{operation}/result/{token}"

    def pages(self, operation, row_format="JSON"):
        path = f"{self.result_path(operation)}?rowFormat={row_format}"
        while path:
            answer = self.http.get(path)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            path = page.get("nextResultUri")
            if page["resultType"] != "NOT_READY":
                yield page

    def rows(self, statement, row_format="JSON"):
        found = self.pages(self.start(statement), row_format)
        return [row["fields"] for page in found for row in page["results"]["data"]]

    def error(self, statement):
        operation = self.start(statement)
        while True:
            answer = self.http.get(self.result_path(operation))
            if answer.status_code != 200:
                return answer
            assert answer.json()["resultType"] == "NOT_READY", answer.text

    def close(self):
        return self.http.delete(self.path)

    @property
    def process(self):
        session = self.server.submission.sessions.get(self.handle)
        (child,) = psutil.Process(session._process._warden.pid).children()
        return child


@pytest.fixture
def sql(server):
    made = Sql(server)
    yield made
    made.close()


@pytest.fixture
def shared(server):
    return server.shared


# ------------------------------------------------------------------------------------- statements


def test_catalogs_tables_plans_and_options(shared):
    assert shared.rows("SHOW CATALOGS") == [["default_catalog"]]
    assert shared.rows("CREATE TABLE t (a INT) WITH ('connector'='blackhole');") == [["OK"]]
    assert shared.rows("SHOW TABLES") == [["t"]]
    assert "Physical Plan" in shared.rows("EXPLAIN SELECT a FROM (VALUES 1) AS x(a)")[0][0]
    assert shared.rows("SET 'pipeline.name' = 'mine'") == [["OK"]]
    properties = shared.http.get(shared.path).json()["properties"]
    assert properties["pipeline.name"] == "mine"
    assert properties["parallelism.default"] == "1"
    assert "security.token" not in properties
    assert properties.get("rest.port") != "1"
    shared.rows("RESET 'pipeline.name'")


QUERY = """
SELECT 1 AS i, 'a' AS s, CAST(1.50 AS DECIMAL(5, 2)) AS d, TRUE AS b, CAST('NaN' AS DOUBLE) AS f,
  TIMESTAMP '2020-01-02 03:04:05.678' AS ts, DATE '2020-01-02' AS dt, ARRAY[1, 2] AS arr,
  MAP['k', 1] AS m, ROW(1, 'x') AS r, CAST(NULL AS BIGINT) AS n, X'00ff' AS bin
"""


def test_values_and_types_as_json(shared):
    pages = list(shared.pages(shared.start(QUERY)))
    (row,) = [row for page in pages for row in page["results"]["data"]]
    assert row == {
        "kind": "INSERT",
        "fields": [
            1, "a", 1.5, True, "NaN", "2020-01-02T03:04:05.678", "2020-01-02", [1, 2], {"k": 1},
            {"EXPR$0": 1, "EXPR$1": "x"}, None, "AP8=",
        ],
    }  # fmt: skip
    columns = {c["name"]: c["logicalType"] for c in pages[0]["results"]["columns"]}
    assert columns["i"] == {"type": "INTEGER", "nullable": False}
    assert columns["d"] == {"type": "DECIMAL", "nullable": False, "precision": 5, "scale": 2}
    assert columns["ts"]["type"] == "TIMESTAMP_WITHOUT_TIME_ZONE"
    assert columns["arr"]["elementType"]["type"] == "INTEGER"
    assert columns["m"]["keyType"]["type"] == "CHAR"
    assert columns["r"]["fields"][1]["fieldType"]["type"] == "CHAR"
    assert pages[-1]["resultType"] == "EOS"
    assert pages[-1]["isQueryResult"] is True
    assert shared.server.state(pages[-1]["jobID"]) == "FINISHED"


def test_values_as_text(shared):
    (row,) = shared.rows(QUERY, "PLAIN_TEXT")
    assert row[:4] == ["1", "a", "1.50", "TRUE"]
    assert row[5] == "2020-01-02 03:04:05.678"
    assert row[7:9] == ["[1, 2]", "{k=1}"]
    assert row[10] is None


def test_changes_have_kinds(shared):
    operation = shared.start("SELECT a % 2, COUNT(*) FROM (VALUES 1, 2, 3) AS t(a) GROUP BY a % 2")
    table = []
    for page in shared.pages(operation):
        for row in page["results"]["data"]:
            if row["kind"] in {"UPDATE_BEFORE", "DELETE"}:
                table.remove(row["fields"])
            else:
                table.append(row["fields"])
    assert sorted(table) == [[0, 1], [1, 2]]


def test_a_long_result_comes_in_pages_that_may_be_asked_for_twice(shared):
    shared.rows(
        "CREATE TABLE many (a INT) WITH ('connector'='datagen', 'fields.a.kind'='sequence', "
        "'fields.a.start'='1', 'fields.a.end'='25000')"
    )
    operation = shared.start("SELECT a FROM many")
    pages = []
    for page in shared.pages(operation):
        pages.append([row["fields"][0] for row in page["results"]["data"]])
        if len(pages) == 3:
            again = shared.http.get(shared.result_path(operation, 2)).json()
            assert [row["fields"][0] for row in again["results"]["data"]] == pages[2]
    assert sorted(a for page in pages for a in page) == list(range(1, 25_001))
    assert max(map(len, pages)) <= 2_000
    wrong = shared.http.get(shared.result_path(operation, 0))
    assert wrong.status_code == 400
    assert wrong.json()["code"] == "LESTO-4345"


def test_an_insert_gives_its_job_and_statement_sets_are_one_job(shared):
    shared.rows("CREATE TABLE b1 (a INT) WITH ('connector'='blackhole')")
    ((job_id,),) = shared.rows("INSERT INTO b1 VALUES (1)")
    assert shared.server.wait_state(job_id, "FINISHED")
    for statement in ("BEGIN STATEMENT SET", *["INSERT INTO b1 VALUES (1)"] * 2):
        assert shared.rows(statement) == [["OK"]]
    assert shared.error("SELECT 1").json()["code"] == "LESTO-2131"
    ((job_id,),) = shared.rows("END")
    assert shared.server.wait_state(job_id, "FINISHED")


def test_errors_say_where(shared):
    told = shared.error("SELECT 1,\n  nope FROM (VALUES 1) AS t(a)").json()
    assert told["code"] == "LESTO-2132"
    assert (told["line"], told["column"]) == (2, 3)
    assert told["exception"] == "UnknownColumnError"
    assert "columns in scope" in told["remedy"]
    assert shared.error("SELEC 1").json()["code"] == "LESTO-2131"
    assert shared.error("SELECT 1; SELECT 2").json()["code"] == "LESTO-2131"


def test_flinks_client_gets_errors_in_its_form(shared):
    operation = shared.start("SELEC")
    path = shared.result_path(operation)
    eventually(lambda: shared.http.get(path).status_code != 200)
    request = shared.http.build_request("GET", path)
    del request.headers["accept"]  # as Flink's client does not send it
    answer = shared.http.send(request)
    assert answer.json().keys() == {"errors"}
    assert "LESTO-2131" in answer.json()["errors"][0]


def test_a_query_that_fails_in_its_job_says_so(shared):
    statement = "SELECT 1 / a FROM (VALUES 1, 0) AS t(a)"
    operation = shared.start(statement, executionConfig={"restart-strategy.type": "none"})
    path = shared.result_path(operation)
    while (answer := shared.http.get(path)).status_code == 200:
        path = answer.json()["nextResultUri"]
    assert answer.status_code == 400, answer.text
    assert "zero" in answer.json()["detail"]


# -------------------------------------------------------------------------------- long statements


def first_row(sql, operation):
    for page in sql.pages(operation):
        if page["results"]["data"]:
            return page["jobID"]
    return pytest.fail("no row")


def test_a_query_without_end_flows_and_is_cancelled(shared):
    shared.rows(ENDLESS)
    operation = shared.start("SELECT a FROM endless")
    job_id = first_row(shared, operation)
    path = f"{shared.path}/operations/{operation}"
    assert shared.http.get(f"{path}/status").json() == {"status": "FINISHED"}
    assert shared.http.post(f"{path}/cancel").json() == {"status": "CANCELED"}
    assert shared.server.wait_state(job_id, "CANCELED")
    assert shared.http.get(f"{path}/result/9").json()["code"] == "LESTO-4346"
    assert shared.http.delete(f"{path}/close").json() == {"status": "CLOSED"}
    assert shared.http.get(f"{path}/status").status_code == 404


def test_closing_a_session_ends_its_queries_and_no_insert(server, sql):
    sql.rows(ENDLESS)
    sql.rows("CREATE TABLE b (a INT) WITH ('connector'='blackhole')")
    query = first_row(sql, sql.start("SELECT a FROM endless"))
    ((insert,),) = sql.rows("INSERT INTO b SELECT a FROM endless")
    process = sql.process
    assert sql.close().json() == {"status": "CLOSED"}
    assert server.wait_state(query, "CANCELED")
    assert server.state(insert) == "RUNNING"
    server.jobmanager.cancel(insert)
    eventually(lambda: not process.is_running())
    assert sql.http.get(sql.path).status_code == 404


def test_a_killed_session_is_told_and_its_query_ends(server, sql):
    sql.rows(ENDLESS)
    query = first_row(sql, sql.start("SELECT a FROM endless"))
    os.kill(sql.process.pid, signal.SIGKILL)
    answer = eventually(lambda: (a := sql.http.get(sql.path)).status_code == 410 and a)
    assert answer.json()["code"] == "LESTO-4344"
    assert "SIGKILL" in answer.json()["detail"]
    assert server.wait_state(query, "CANCELED")
    eventually(lambda: sql.http.get(sql.path).status_code == 404)  # told once more, then forgotten


def test_waiting_for_an_insert_can_be_cancelled(shared):
    shared.rows("CREATE TABLE IF NOT EXISTS waits (a INT) WITH ('connector'='blackhole')")
    before = {job["id"] for job in shared.http.get("/jobs").json()["jobs"]}
    shared.rows(ENDLESS.replace("endless", "endless2"))
    config = {"table.dml-sync": "true"}
    operation = shared.start("INSERT INTO waits SELECT a FROM endless2", executionConfig=config)

    def started():
        return {job["id"] for job in shared.http.get("/jobs").json()["jobs"]} - before

    (job_id,) = eventually(started)
    path = f"{shared.path}/operations/{operation}"
    assert shared.http.get(f"{path}/status").json() == {"status": "RUNNING"}
    shared.http.post(f"{path}/cancel")
    assert shared.server.wait_state(job_id, "CANCELED")
    assert shared.rows("SHOW CATALOGS")  # the next one is carried out


def test_a_statement_may_take_only_so_long(shared):
    shared.rows(ENDLESS.replace("endless", "endless3"))
    config = {"table.dml-sync": "true"}
    statement = "INSERT INTO waits SELECT a FROM endless3"
    shared.rows("CREATE TABLE IF NOT EXISTS waits (a INT) WITH ('connector'='blackhole')")
    operation = shared.start(statement, executionConfig=config, executionTimeout=300)
    path = f"{shared.path}/operations/{operation}"
    eventually(lambda: shared.http.get(f"{path}/status").json() == {"status": "TIMEOUT"})
    assert shared.rows("SHOW CATALOGS")


# -------------------------------------------------------------------------------------- sessions


def test_only_so_many_sessions(server, shared):
    others = [Sql(server), Sql(server)]
    answer = server.http.post("/sql/v1/sessions", json={})
    assert answer.status_code == 429
    assert answer.json()["code"] == "LESTO-4342"
    for other in others:
        other.close()


def test_idle_ones_are_closed_and_heartbeats_keep_them(server, sql):
    sessions: SqlSessions = server.submission.sessions
    path = f"{sql.path}/heartbeat"
    assert server.http.post(path).json() == {}
    process = sql.process
    session = sessions.get(sql.handle)
    session.used -= 700
    assert sessions.idle() == [session]
    server.http.post(path)
    assert sessions.idle() == []
    session.used -= 700
    sessions.sweep()
    assert sql.http.get(sql.path).status_code == 404
    assert not process.is_running()


def test_versions_and_completion(server, shared):
    assert server.http.get("/sql/v1/api_versions").json() == {"versions": ["V1", "V2", "V3"]}
    assert server.http.get("/sql/v2/info").json()["productName"] == "Lesto"
    for method in ("GET", "POST"):
        path = f"{shared.path}/complete-statement"
        body = {"statement": "SELECT * FR", "position": 11}
        assert "FROM" in server.http.request(method, path, json=body).json()["candidates"]


def test_a_session_is_configured_by_statements_that_run_nothing(shared):
    path = f"{shared.path}/configure-session"
    made = {"statement": "CREATE VIEW v AS SELECT 1 AS a"}
    assert shared.http.post(path, json=made).json() == {}
    assert ["v"] in shared.rows("SHOW VIEWS")
    assert shared.http.post(path, json=made).json()["code"] == "LESTO-2140"
    assert shared.http.post(path, json={"statement": "SELECT 1"}).json()["code"] == "LESTO-2143"


@pytest.mark.parametrize(
    "properties", [{"no.such": "1"}, {"parallelism.default": "x"}, {"parallelism.default": "0"}]
)
def test_options_are_checked_before_a_process_is_started(server, properties):
    answer = server.http.post("/sql/v3/sessions", json={"properties": properties})
    assert answer.status_code == 400
    assert answer.json()["code"].startswith("LESTO-10")


def test_unknown_handles(server, shared):
    nobody = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    for method, path in (
        ("GET", f"/sql/v3/sessions/{nobody}"),
        ("DELETE", f"/sql/v3/sessions/{nobody}"),
        ("GET", f"{shared.path}/operations/{nobody}/status"),
        ("DELETE", f"{shared.path}/operations/{nobody}/close"),
    ):
        assert server.http.request(method, path).status_code == 404
