"""The SQL editor: statements run, results live, changes folded, errors where they are."""

import re

import pytest
from dashboard_browser import visiting
from playwright.sync_api import expect

COUNT = """CREATE TEMPORARY TABLE IF NOT EXISTS clicks (page INT) WITH (
  'connector' = 'datagen', 'rows-per-second' = '50',
  'fields.page.min' = '1', 'fields.page.max' = '3'
);
SELECT page, COUNT(*) AS clicks FROM clicks GROUP BY page;"""


class Editor:
    """The editor's page."""

    def __init__(self, visit):
        self.visit = visit
        self.page = visit.go("sql", heading="SQL editor")
        self.text = self.page.get_by_label("SQL statements")
        # The tables have been read: a session is there.
        expect(self.page.locator(".catalog-place")).to_have_text("default_catalog.default_database")

    def write(self, text):
        self.text.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.insert_text(text)

    def run(self, button="Run all"):
        self.page.get_by_role("button", name=button, exact=True).click()


@pytest.fixture(scope="module")
def opened(browser, cluster, jobs):
    """One tab for all tests: a session is a process."""
    with visiting(browser, cluster.rest) as visit:
        yield Editor(visit)
        session = visit.page.evaluate("() => sessionStorage.getItem('lesto-sql-session')")
        cluster.delete(f"sql/v3/sessions/{session}")


@pytest.fixture
def editor(opened):
    opened.visit.go("sql", heading="SQL editor")
    yield opened
    opened.visit.errors()
    opened.visit.allowed.clear()


def test_a_query_streams_and_its_changes_fold_to_a_table(editor):
    page = editor.page
    editor.write(COUNT)
    editor.run()
    result = page.get_by_role("table", name="Result as a table")
    expect(result.locator("tbody tr")).to_have_count(3)
    before = result.locator("tbody").inner_text()
    expect(result.locator("tbody")).not_to_have_text(before)  # live
    expect(result.locator("tbody tr")).to_have_count(3)  # folded
    expect(page.locator(".catalog").get_by_text("clicks", exact=True)).to_be_visible()
    editor.visit.check("sql-running")
    page.get_by_role("button", name="Changes").click()
    changes = page.get_by_role("table", name="Changes, the newest first")
    expect(changes.get_by_text("+U").first).to_be_visible()
    editor.visit.check("sql-changes")
    expect(page.get_by_role("link", name=re.compile("^Job "))).to_have_attribute(
        "href", re.compile("^#/jobs/[0-9a-f]{32}/graph$")
    )
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped", exact=True)).to_be_visible()


def test_the_statement_at_the_cursor_runs_by_keyboard(editor):
    page = editor.page
    editor.write("SELECT 1 AS one;\nSELECT 2 AS two;")
    page.keyboard.press("Control+Home")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("columnheader", name="one")).to_be_visible()
    page.keyboard.press("Control+End")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("columnheader", name="two")).to_be_visible()
    expect(page.get_by_role("table", name="Result as a table").locator("tbody tr")).to_have_text(
        "2"
    )


def test_an_error_is_marked_where_it_is(editor):
    page = editor.page
    editor.write("SELECT 1;\nSELECT a,\n  nothing_like_that\nFROM (VALUES (1)) AS t(a);")
    editor.visit.allowed.update({400, 500})
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("nothing_like_that")
    # CodeMirror lives in a shadow root, which locators see through.
    marked = page.locator(".cm-lintRange-error")
    expect(marked).to_have_text("nothing_like_that")
    editor.visit.check("sql-error")


def test_a_plan_is_explained(editor):
    page = editor.page
    editor.write("SELECT COUNT(*) FROM (VALUES (1), (2)) AS t(a)")
    editor.run("Explain")
    expect(page.get_by_label("result", exact=True)).to_contain_text("Aggregate")
    editor.visit.check("sql-explain")


def test_tables_are_browsed_and_put_into_the_text(editor):
    page = editor.page
    editor.write(
        "CREATE TEMPORARY TABLE visits (who STRING, `at` TIMESTAMP(3)) "
        "WITH ('connector' = 'datagen')"
    )
    editor.run("Run")
    page.locator(".catalog summary").filter(has_text="visits").click()
    columns = page.locator(".catalog-table[open]")
    expect(columns.get_by_role("button", name="who")).to_contain_text("STRING")
    editor.write("")
    columns.get_by_role("button", name="Insert SELECT").click()
    expect(editor.text).to_contain_text("SELECT * FROM visits;")
    editor.visit.check("sql-tables")


def test_examples_run_as_they_are(editor):
    page = editor.page
    for number, column in enumerate(("window_start", "total", "place", "times")):
        page.get_by_label("Examples").select_option(str(number))
        editor.run()
        expect(page.get_by_role("columnheader", name=column)).to_be_visible()
        rows = page.get_by_role("table", name="Result as a table").locator("tbody tr")
        expect(rows.first).to_be_visible()
        editor.visit.picture(f"sql-example-{number}")
    expect(page.get_by_text("Done", exact=True)).to_be_visible()  # the last one ends by itself


def test_leaving_the_page_ends_its_query(editor, cluster):
    page = editor.page
    editor.write(COUNT)
    editor.run()
    link = page.get_by_role("link", name=re.compile("^Job "))
    job = link.get_attribute("href").split("/")[2]
    editor.visit.go("overview", heading="Overview")
    cluster.wait_state(job, "CANCELED")
