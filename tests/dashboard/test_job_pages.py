"""A job's pages and its vertices', in a browser, on a real cluster with jobs well and ill."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from dashboard_browser import visiting
from dashboard_cluster import DevCluster, dev_cluster, wait_until
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one browser and one cluster serve the tests of this module"),
]

SCRIPT = Path(__file__).with_name("page_job.py")
TABS = ("graph", "checkpoints", "exceptions", "timeline", "configuration")
VERTEX_TABS = ("subtasks", "records", "flamegraph", "metrics", "watermarks", "accumulators")
UNKNOWN = "0" * 32
#: A Python process that was busy elsewhere answers later than one that was not.
PATIENCE_MS = 30_000


@dataclass(frozen=True)
class Patients:
    """A cluster with jobs by name."""

    cluster: DevCluster
    jobs: dict[str, str]

    def vertex(self, name, part):
        """Id of the vertex of a job whose name has a part."""
        vertices = self.cluster.get(f"jobs/{self.jobs[name]}")["vertices"]
        return next(vertex["id"] for vertex in vertices if part in vertex["name"])


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    options = {
        "execution__checkpointing__interval": "1s",
        "execution__checkpointing__dir": f"file://{folder}/checkpoints",
        "execution__checkpointing__savepoint_dir": f"file://{folder}/savepoints",
    }
    with dev_cluster(folder, slots=9, **options) as cluster:
        names = ("healthy", "slow", "failing", "failed", "finished", "sql", "stopped", "cancelled")
        cluster.run(SCRIPT, given=names)
        known = cluster.get("jobs/overview")["jobs"]
        jobs = {job["name"] if job["name"] in names else "sql": job["jid"] for job in known}
        assert set(jobs) == set(names)
        cluster.wait_state(jobs["finished"], "FINISHED")
        cluster.wait_state(jobs["failed"], "FAILED")
        yield Patients(cluster, jobs)


@pytest.fixture
def visit(browser, patients):
    with visiting(browser, patients.cluster.rest) as tab:
        tab.page.set_default_timeout(PATIENCE_MS)
        yield tab


def line(page):
    """The health line."""
    return page.get_by_role("region", name="Health")


# ------------------------------------------------------------------------------------- every page


def test_the_pages_of_a_running_job(visit, patients):
    for tab in TABS:
        page = visit.go(f"jobs/{patients.jobs['healthy']}/{tab}", heading="healthy")
        expect(line(page)).to_contain_text("Healthy.")
        expect(page.locator(".tabs [aria-current]")).to_have_text(re.compile(tab, re.IGNORECASE))
        visit.settle()
        visit.picture(f"job-running-{tab}")
        if tab in {"graph", "configuration"}:
            visit.barriers()
    visit.errors()


def test_the_pages_of_a_vertex(visit, patients):
    vertex = patients.vertex("slow", "weigh")
    for tab in VERTEX_TABS:
        visit.go(f"jobs/{patients.jobs['slow']}/vertices/{vertex}/{tab}", heading="weigh")
        visit.settle()
        visit.picture(f"vertex-{tab}")
        if tab in {"subtasks", "flamegraph", "metrics"}:
            visit.barriers()
    visit.errors()


def test_the_pages_of_a_failing_job(visit, patients):
    wait_until(lambda: _failures(patients, "failing") > 0, "a failure")
    visit.theme("light")
    for tab in ("graph", "exceptions", "timeline"):
        page = visit.go(f"jobs/{patients.jobs['failing']}/{tab}", heading="failing")
        expect(line(page)).to_contain_text(
            re.compile("Restarting|Running again|Running, but|Start")
        )
        visit.check(f"job-failing-{tab}")


def test_the_pages_of_ended_and_sql_jobs(visit, patients):
    for name, tab, word in (
        ("failed", "exceptions", "Failed"),
        ("failed", "graph", "Failed"),
        ("finished", "checkpoints", "Finished"),
        ("finished", "timeline", "Finished"),
        ("sql", "graph", "Healthy."),
    ):
        page = visit.go(f"jobs/{patients.jobs[name]}/{tab}")
        expect(line(page)).to_contain_text(word)
        visit.settle()
        visit.picture(f"job-{name}-{tab}")
    visit.errors()


def test_an_ended_job_offers_nothing_to_do(visit, patients):
    page = visit.go(f"jobs/{patients.jobs['finished']}/graph", heading="finished")
    expect(line(page)).to_contain_text("1.00 k records read")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_an_unknown_job_says_so_with_what_to_do(visit):
    visit.allowed |= {404, 400}
    for path in (f"jobs/{UNKNOWN}/vertices/x", "jobs/x", f"jobs/{UNKNOWN}/graph"):
        page = visit.go(path)
        expect(page.get_by_role("alert")).to_contain_text("LESTO-4")
    visit.check("job-unknown")


def test_an_unknown_vertex_or_tab_leads_back(visit, patients):
    job = patients.jobs["healthy"]
    page = visit.go(f"jobs/{job}/vertices/nothing")
    page.get_by_role("link", name="Go to the job's graph").click()
    expect(line(page)).to_be_visible()
    visit.go(f"jobs/{job}/nothing")
    expect(page.get_by_role("alert")).to_contain_text("no page called nothing")


# ----------------------------------------------------------------------------------- what they say


def test_the_health_line_names_the_vertex_that_limits(visit, patients):
    page = visit.go(f"jobs/{patients.jobs['slow']}/graph", heading="slow")
    expect(line(page)).to_contain_text(re.compile(r"Limited by: weigh \(\d+ % busy\)"))
    expect(line(page)).to_contain_text("records/s")
    flagged = page.locator(".node").filter(has_text="limits the job")
    expect(flagged).to_have_count(1)
    expect(flagged).to_contain_text("weigh")
    expect(page.locator(".node").first).to_contain_text("backpressured")
    expect(page.locator(".edge-label").first).to_contain_text(re.compile(r"REBALANCE.*/s"))


def test_a_failing_job_shows_the_users_line_first(visit, patients):
    wait_until(lambda: _failures(patients, "failing") > 1, "two failures")
    page = visit.go(f"jobs/{patients.jobs['failing']}/exceptions", heading="failing")
    expect(line(page)).to_contain_text("KeyError: 'MUC'")
    cause = page.locator(".root-cause")
    expect(cause).to_contain_text("LESTO-6001")
    where = re.search(r"page_job\.py:(\d+)", cause.locator(".frame-user").first.inner_text())
    assert where is not None
    assert "prices[record[0]]" in SCRIPT.read_text().splitlines()[int(where.group(1)) - 1]
    page.get_by_role("button", name="Show the whole traceback").first.click()
    whole = page.get_by_role("region", name="Whole traceback")
    expect(whole.get_by_role("button", name=re.compile("frames? of"))).not_to_have_count(0)
    expect(whole.locator(".frame-user")).not_to_have_count(0)
    expect(page.locator(".failures > li")).not_to_have_count(0)


def test_a_checkpoint_says_which_subtask_was_slow_in_which_phase(visit, patients):
    job = patients.jobs["slow"]
    wait_until(lambda: _completed(patients, "slow") > 0, "a checkpoint")
    page = visit.go(f"jobs/{job}/checkpoints", heading="slow")
    expect(page.locator(".verdict")).to_contain_text(re.compile("ubtask [01] of "))
    expect(page.locator(".phase-row")).to_have_count(6)
    number = page.locator("tbody a").last.inner_text()
    page.locator("tbody a").last.click()
    expect(page.get_by_role("heading", name=f"Checkpoint {number}", exact=True)).to_be_visible()
    visit.check("job-slow-checkpoints")


def test_the_timeline_tells_causes_and_folds_what_is_routine(visit, patients):
    wait_until(lambda: _completed(patients, "healthy") > 4, "checkpoints")
    page = visit.go(f"jobs/{patients.jobs['healthy']}/timeline", heading="healthy")
    expect(page.locator(".event").filter(has_text="submitted")).to_have_count(1)
    page.get_by_role("button", name=re.compile(r"\d+ checkpoints, \d+ to \d+")).click()
    assert page.locator(".event").filter(has_text="checkpoint completed").count() > 3
    page.get_by_label("only warnings and errors").check()
    expect(page.get_by_text("No event matches")).to_be_visible()


# -------------------------------------------------------------------------------- looking closer


def test_the_graph_is_walked_by_keyboard(visit, patients):
    page = visit.go(f"jobs/{patients.jobs['slow']}/graph", heading="slow")
    page.locator(".node").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".node").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("complementary", name=re.compile("weigh"))
    expect(drawer).to_contain_text("page_job.py")
    visit.check("job-running-drawer")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.get_by_role("group", name="Job graph").focus()
    page.keyboard.press("+")
    expect(page.get_by_text("125 %")).to_be_visible()


def test_records_of_a_query_have_columns_and_kinds_of_change(visit, patients):
    vertex = patients.vertex("sql", "GroupAggregate")
    page = visit.go(f"jobs/{patients.jobs['sql']}/vertices/{vertex}/records")
    table = page.get_by_role("region", name="Sampled records")
    expect(table.get_by_role("columnheader")).to_contain_text(
        ["Change", "auction", "bids", "highest", "Subtask"]
    )
    expect(table).to_contain_text("after the update")


def test_records_are_looked_at_again_and_again(visit, patients):
    vertex = patients.vertex("healthy", "delayed only")
    page = visit.go(f"jobs/{patients.jobs['healthy']}/vertices/{vertex}/records")
    first = page.locator(".records tbody tr").first
    expect(first).to_contain_text("('")
    before = first.inner_text()
    page.get_by_label("again and again").check()
    expect(first).not_to_have_text(before)


def test_a_flame_graph_shows_the_users_function_zooms_and_searches(visit, patients):
    vertex = patients.vertex("slow", "weigh")
    page = visit.go(f"jobs/{patients.jobs['slow']}/vertices/{vertex}/flamegraph", heading="weigh")
    mine = page.locator(".flame-user").filter(has_text="weigh").first
    mine.click()
    expect(page.get_by_role("button", name="Show all")).to_be_enabled()
    page.locator(".flame-svg").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Show all")).to_be_disabled()
    page.get_by_placeholder("Search functions").fill("weigh")
    expect(page.locator(".flame-hit")).not_to_have_count(0)
    expect(page.locator(".flame-tools")).to_contain_text("% of the time")
    expect(page.locator(".flame-hottest")).to_contain_text("page_job.py")


def test_metrics_are_chosen_and_drawn(visit, patients):
    vertex = patients.vertex("healthy", "delayed only")
    page = visit.go(f"jobs/{patients.jobs['healthy']}/vertices/{vertex}/metrics")
    expect(page.locator(".linechart")).not_to_have_count(0)
    page.get_by_placeholder("Search metrics").fill("0.numBytesOut")
    page.get_by_label("0.numBytesOut", exact=True).check()
    expect(page.locator(".chart").filter(has_text="0.numBytesOut").first).to_be_visible()
    assert "numBytesOut" in page.url


# --------------------------------------------------------------------------------------- actions


def test_a_savepoint_and_a_checkpoint_are_taken_and_the_job_is_stopped(visit, patients):
    job = patients.jobs["stopped"]
    page = visit.go(f"jobs/{job}/graph", heading="stopped")
    dialogue = page.get_by_role("dialog")
    for button, go, done in (
        ("Savepoint", "Take a savepoint", "Complete after"),
        ("Checkpoint now", "Take a checkpoint", "is complete after"),
        ("Stop with savepoint", "Stop the job", "Complete after"),
    ):
        page.get_by_role("button", name=button, exact=True).click()
        dialogue.get_by_role("button", name=go).click()
        expect(dialogue).to_contain_text(done)
        if "avepoint" in button:
            path = dialogue.locator(".checkpoint-path code").inner_text()
            assert (Path(path.removeprefix("file://")) / "_metadata").exists()
        dialogue.get_by_role("button", name="Close").last.click()
    expect(line(page)).to_contain_text("Finished")
    assert patients.cluster.get(f"jobs/{job}")["state"] == "FINISHED"


def test_a_savepoint_that_fails_says_why(visit, patients):
    page = visit.go(f"jobs/{patients.jobs['healthy']}/graph", heading="healthy")
    visit.allowed |= {400, 403}
    page.get_by_role("button", name="Savepoint", exact=True).click()
    page.get_by_label("Directory").fill("nonsense://x")
    page.get_by_role("button", name="Take a savepoint").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("LESTO-")


def test_a_job_is_rescaled_and_cancelled(visit, patients):
    job = patients.jobs["cancelled"]
    page = visit.go(f"jobs/{job}/graph", heading="cancelled")
    dialogue = page.get_by_role("dialog")
    page.get_by_role("button", name="Rescale").click()
    dialogue.get_by_label("Parallelism of delay by airport").fill("2")
    dialogue.get_by_role("button", name="Rescale one vertex").click()
    expect(dialogue).to_contain_text("runs with the new parallelism")
    dialogue.get_by_role("button", name="Close").last.click()
    expect(page.locator(".node").nth(1)).to_contain_text("\N{MULTIPLICATION SIGN}2")
    page.get_by_role("button", name="Cancel").click()
    visit.barriers()
    dialogue.get_by_role("button", name="Cancel the job").click()
    expect(dialogue).to_contain_text("The job is cancelled")
    dialogue.get_by_role("button", name="Close").last.click()
    expect(line(page)).to_contain_text("Cancelled")
    assert patients.cluster.get(f"jobs/{job}")["state"] == "CANCELED"


def test_cancel_can_be_thought_better_of(visit, patients):
    page = visit.go(f"jobs/{patients.jobs['healthy']}/graph", heading="healthy")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Do nothing").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(line(page)).to_contain_text("Healthy.")


def _failures(patients, name):
    answer = patients.cluster.get(f"jobs/{patients.jobs[name]}/exceptions")
    return len(answer["exceptionHistory"]["entries"])


def _completed(patients, name):
    return patients.cluster.get(f"jobs/{patients.jobs[name]}/checkpoints")["counts"]["completed"]
