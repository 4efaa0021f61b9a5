"""Programs are uploaded, planned, run and deleted from the dashboard."""

import re

import pytest
from dashboard_jobs import BROKEN, WORDS
from playwright.sync_api import expect


@pytest.fixture
def upload(visit, tmp_path):
    """Upload a program by name and text; return the page."""

    def go(name, text):
        script = tmp_path / name
        script.write_text(text)
        page = visit.go("submit", heading="Submit a job")
        page.get_by_label("Program to upload").set_input_files(script)
        expect(page.get_by_role("heading", name=f"Run {name}")).to_be_visible()
        return page

    return go


def test_a_program_is_planned_run_and_deleted(visit, upload):
    page = upload("words.py", WORDS)
    page.get_by_label("Parallelism").fill("1")
    page.get_by_role("button", name="Show the plan").click()
    plan = page.get_by_role("table", name="Plan")
    expect(plan.locator("tbody tr").first).to_contain_text("Source")
    visit.check("submit-plan")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url(re.compile(r"#/jobs/[0-9a-f]{32}/graph"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Words")
    page = visit.go("submit", heading="Submit a job")
    page.get_by_role("button", name="Delete words.py").click()
    expect(page.get_by_role("button", name="Delete words.py")).to_have_count(0)


def test_a_broken_program_shows_its_traceback(visit, upload):
    page = upload("prices.py", BROKEN)
    visit.allowed.update({400, 422, 500})
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("pear")
    traceback = page.get_by_label("traceback of the program", exact=True)
    expect(traceback).to_contain_text("in prices")
    visit.check("submit-error")


def test_what_is_no_program_is_refused(visit, tmp_path):
    page = visit.go("submit", heading="Submit a job")
    visit.allowed.add(400)
    file = tmp_path / "numbers.zip"
    file.write_bytes(b"not an archive")
    page.get_by_label("Program to upload").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("no archive")


def test_an_option_that_is_none_is_told_before_anything_is_sent(visit, upload):
    page = upload("words.py", WORDS)
    page.get_by_label("Options, one KEY=VALUE a line").fill("parallelism")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("An option is KEY=VALUE")
    visit.check("submit-option")
