"""Every page of the cluster, without jobs, with some, and with fifty: no error, no barrier."""

import re

from playwright.sync_api import expect

JOBMANAGER_TABS = ("configuration", "environment", "metrics", "logs", "threads")
TASKMANAGER_TABS = ("slots", "metrics", "logs", "threads", "flamegraph")


def taskmanager(cluster):
    return cluster.get("taskmanagers")["taskmanagers"][0]["id"]


# ------------------------------------------------------------------------------------------ no job


def test_overview_without_jobs_says_what_to_type(visit_empty, empty_cluster):
    page = visit_empty.go("overview", heading="Overview")
    expect(page.get_by_text("No job runs")).to_be_visible()
    expect(page.get_by_role("group", name="command")).to_have_text(
        f"lesto run -m {empty_cluster.jobmanager} -d examples/word_count.py"
    )
    expect(page.get_by_text("No job has failed or been restarted.")).to_be_visible()
    visit_empty.check("overview-0")


def test_jobs_without_jobs(visit_empty):
    page = visit_empty.go("jobs", heading="Jobs")
    expect(page.get_by_text("This cluster has not had a job yet")).to_be_visible()
    visit_empty.check("jobs-0")


def test_taskmanager_without_jobs(visit_empty, empty_cluster):
    name = taskmanager(empty_cluster)
    for tab in TASKMANAGER_TABS:
        visit_empty.go(f"taskmanagers/{name}/{tab}", heading=name)
        visit_empty.check(f"taskmanager-{tab}-0")


def test_jobmanager_without_jobs(visit_empty):
    for tab in JOBMANAGER_TABS:
        visit_empty.go(f"jobmanager/{tab}", heading="JobManager")
        visit_empty.check(f"jobmanager-{tab}-0")


def test_other_pages_without_jobs(visit_empty):
    for path, heading in (
        ("taskmanagers", "TaskManagers"),
        ("submit", "Submit a job"),
        ("sql", "SQL editor"),
    ):
        visit_empty.go(path, heading=heading)
        visit_empty.check(f"{path}-0")


def test_an_address_that_is_none(visit_empty):
    page = visit_empty.go("nowhere/at/all", heading="No such page")
    page.get_by_role("link", name="Go to the overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


# --------------------------------------------------------------------------------------- some jobs


def test_overview_tells_what_runs_and_what_failed_last_and_why(visit, jobs):
    page = visit.go("overview", heading="Overview")
    running = page.get_by_role("table", name="Running jobs")
    row = running.get_by_role("row").filter(has_text="Orders by customer")
    expect(row).to_contain_text("Running")
    expect(row.get_by_role("cell").nth(3)).to_have_text(re.compile(r"now|\d+ s ago"))
    failed = page.get_by_role("listitem").filter(has_text="Shares of a total")
    expect(failed).to_contain_text("ZeroDivisionError")
    expect(page.get_by_role("img", name="2 of 4 slots in use")).to_be_visible()
    visit.check("overview-1")
    visit.theme("light")
    visit.check("overview-1-light")
    failed.get_by_role("link", name="Traceback").click()
    page.wait_for_url(f"**/#/jobs/{jobs['failed']}/exceptions")


def test_jobs_are_found_by_name_state_and_id(visit, jobs):
    page = visit.go("jobs", heading="Jobs")
    rows = page.get_by_role("table", name="Jobs").locator("tbody tr")
    orders = rows.filter(has_text="Orders by customer")
    expect(orders).to_have_count(1)
    visit.check("jobs-1")
    page.get_by_role("button", name=re.compile("^Failed")).click()
    expect(orders).to_have_count(0)
    expect(rows.filter(has_text="Shares of a total")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^All")).click()
    page.get_by_label("Search jobs").fill(jobs["running"][:6])
    expect(rows).to_have_count(1)
    page.get_by_label("Search jobs").fill("no such job")
    expect(page.get_by_text("No job matches")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    rows.filter(has_text="Orders").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Orders by customer")


def test_taskmanager_shows_what_runs_in_each_slot(visit, cluster):
    name = taskmanager(cluster)
    page = visit.go("taskmanagers", heading="TaskManagers")
    visit.check("taskmanagers-1")
    page.get_by_role("link", name=name).click()
    table = page.get_by_role("table", name="Slots")
    expect(table.get_by_role("row").filter(has_text="Orders by customer")).to_have_count(2)
    expect(table.get_by_role("row").filter(has_text="nothing")).to_have_count(2)
    # Memory is known at the first look, CPU at the second.
    expect(table.locator("tbody tr").first.locator(".cpu")).to_have_text(re.compile(r"\d+ %"))
    visit.check("taskmanager-slots-1")


def test_logs_are_read_to_their_end_and_followed(visit, cluster):
    page = visit.go(f"taskmanagers/{taskmanager(cluster)}/logs")
    page.get_by_role("link", name="taskmanager.log").click()
    log = page.get_by_label("Log taskmanager.log")
    expect(log).to_contain_text("slot.ready")
    before = log.locator(".log-line").count()
    # The running job's checkpoints are lines of this log.
    expect(log.locator(".log-line").nth(before)).to_be_attached()
    page.get_by_label("Lines with").fill("slot.ready")
    expect(log.locator(".log-line")).to_have_count(4)
    page.get_by_role("button", name="Stop following").click()
    visit.check("taskmanager-log-1")


def test_threads_of_a_slot_say_which_task_they_run(visit, cluster):
    page = visit.go(f"taskmanagers/{taskmanager(cluster)}/threads")
    expect(page.get_by_text("runs Source: Sequence Source").first).to_be_visible()
    expect(page.get_by_label("stack of MainThread").first).to_contain_text("priced")
    visit.check("taskmanager-threads-1")


def test_metrics_are_searched_and_refreshed(visit, cluster):
    page = visit.go(f"taskmanagers/{taskmanager(cluster)}/metrics")
    page.get_by_label("Search metrics").fill("CPU.Time")
    rows = page.get_by_role("table", name="Metrics").locator("tbody tr")
    expect(rows).to_have_count(1)
    before = rows.locator("td").last.inner_text()
    expect(rows.locator("td").last).not_to_have_text(before)
    visit.check("taskmanager-metrics-1")


def test_flame_graph_shows_the_users_function(visit, cluster):
    page = visit.go(f"taskmanagers/{taskmanager(cluster)}/flamegraph")
    expect(page.get_by_text("priced").first).to_be_visible()
    visit.check("taskmanager-flamegraph-1")


def test_jobmanager_configuration_is_searched(visit):
    page = visit.go("jobmanager/configuration", heading="JobManager")
    page.get_by_label("Search: Configuration").fill("env.log.dir")
    rows = page.get_by_role("table", name="Configuration").locator("tbody tr")
    expect(rows).to_have_count(1)
    visit.check("jobmanager-configuration-1")


# ------------------------------------------------------------------------------------- fifty jobs


def test_overview_of_fifty_jobs(visit_fifty):
    page = visit_fifty.go("overview", heading="Overview")
    rows = page.get_by_role("table", name="Running jobs").locator("tbody tr")
    expect(rows).to_have_count(12)
    expect(rows.first).to_contain_text("Restarting")  # what needs a look comes first
    expect(page.get_by_text("KeyError: 'currency'").first).to_be_visible()
    visit_fifty.check("overview-50")


def test_fifty_jobs_are_sorted_and_filtered(visit_fifty):
    page = visit_fifty.go("jobs", heading="Jobs")
    table = page.get_by_role("table", name="Jobs")
    expect(table.locator("tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Restarts").click()
    first = table.locator("tbody tr").first
    expect(first.get_by_role("cell").nth(5)).to_have_text("3")
    expect(page.get_by_role("columnheader", name="Restarts")).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_label("Search jobs").fill("oslo")
    expect(table.locator("tbody tr")).to_have_count(5)
    page.get_by_label("Search jobs").fill("")
    visit_fifty.check("jobs-50")
    visit_fifty.theme("light")
    visit_fifty.check("jobs-50-light")


def test_ten_taskmanagers(visit_fifty):
    page = visit_fifty.go("taskmanagers", heading="TaskManagers")
    expect(page.get_by_role("table", name="TaskManagers").locator("tbody tr")).to_have_count(10)
    visit_fifty.check("taskmanagers-50")
