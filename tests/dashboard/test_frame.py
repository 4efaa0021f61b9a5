"""What surrounds the pages: keyboard, colours, the token, a server that goes away."""

import urllib.request

import pytest
from dashboard_browser import visiting
from dashboard_model import ModelJobManager
from playwright.sync_api import expect

from lesto.common.config import Configuration
from lesto.common.metrics import MetricRegistry
from lesto.jobmanager.server.rest.server import RestServer

TOKEN = "0123456789abcdef0123456789abcdef"
DARK, LIGHT = "rgb(15, 20, 27)", "rgb(243, 245, 248)"


def serve(**values):
    return RestServer(Configuration.from_dict({"rest.port": 0, **values}), MetricRegistry())


def test_everything_can_be_reached_by_keyboard(visit_fifty):
    page = visit_fifty.go("jobs", heading="Jobs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="All", exact=False).first).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Running")).to_have_attribute("aria-pressed", "true")
    focused = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert focused == "solid"


def test_going_to_a_page_moves_the_focus_and_the_title(visit_fifty):
    page = visit_fifty.go("overview", heading="Overview")
    page.get_by_role("link", name="TaskManagers", exact=False).first.press("Enter")
    expect(page.get_by_role("heading", name="TaskManagers")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    expect(page).to_have_title("TaskManagers · Lesto")
    current = page.get_by_role("navigation", name="Main").locator("[aria-current=page]")
    expect(current).to_contain_text("TaskManagers")


def test_colours_follow_the_system_until_chosen(visit_fifty):
    page = visit_fifty.go("overview", heading="Overview")

    whole = page.locator("html")
    expect(whole).to_have_css("background-color", DARK)
    visit_fifty.theme("light")
    expect(whole).to_have_css("background-color", LIGHT)
    page.get_by_role("button", name="Dark").click()
    expect(whole).to_have_css("background-color", DARK)
    page.reload()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(whole).to_have_css("background-color", DARK)
    page.get_by_role("button", name="Colours of the system").click()
    expect(whole).to_have_css("background-color", LIGHT)


def test_a_narrow_window_keeps_every_name(visit_fifty):
    visit_fifty.page.set_viewport_size({"width": 700, "height": 900})
    visit_fifty.go("jobs", heading="Jobs")
    visit_fifty.check("jobs-50-narrow")


def test_the_token_is_asked_for_and_kept_in_the_tab(browser):
    server = serve(**{"rest.bind-address": "0.0.0.0", "security.token": TOKEN})
    try:
        port = server.start(ModelJobManager()).rpartition(":")[2]
        with visiting(browser, f"127.0.0.1:{port}") as visit:
            visit.allowed.add(401)
            page = visit.page
            page.goto(visit.origin)
            dialog = page.get_by_role("dialog", name="This cluster asks for a token")
            dialog.get_by_label("Token").fill("wrong")
            dialog.get_by_role("button", name="Sign in").click()
            expect(dialog.get_by_role("alert")).to_have_text("The server refused that token.")
            visit.barriers()
            visit.picture("token")
            dialog.get_by_label("Token").fill(TOKEN)
            dialog.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("table", name="Running jobs")).to_be_visible()
            page.reload()
            expect(page.get_by_role("table", name="Running jobs")).to_be_visible()
            expect(dialog).to_have_count(0)
            assert page.evaluate("() => document.cookie + JSON.stringify(localStorage)") == "{}"
    finally:
        server.stop()


def test_a_server_that_goes_away_is_told_and_found_again(browser):
    server = serve()
    address = server.start(ModelJobManager())
    try:
        with visiting(browser, address) as visit:
            page = visit.go("overview", heading="Overview")
            expect(page.get_by_role("table", name="Running jobs")).to_be_visible()
            server.stop()
            expect(page.get_by_role("alert")).to_contain_text("The JobManager does not answer")
            expect(page.get_by_text("No connection")).to_be_visible()
            expect(page.get_by_role("table", name="Running jobs")).to_be_visible()  # what was known
            visit.picture("unreachable")
            visit.barriers()
            server = serve(**{"rest.port": int(address.rpartition(":")[2])})
            server.start(ModelJobManager())
            expect(page.get_by_role("alert")).to_have_count(0)
            visit.forgive("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    finally:
        server.stop()


@pytest.mark.parametrize("path", ["", "index.html"])
def test_the_page_comes_with_a_strict_policy(fifty, path):
    with urllib.request.urlopen(f"http://{fifty}/{path}", timeout=30) as answer:
        policy = answer.headers["content-security-policy"]
        assert answer.headers["content-type"].startswith("text/html")
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";") if rule.strip())
    assert rules["default-src"] in {"'none'", "'self'"}
    assert "unsafe" not in policy
    assert rules["frame-ancestors"] == "'none'"


def test_assets_are_kept_for_ever_and_the_page_is_not(fifty):
    def cached(path):
        with urllib.request.urlopen(f"http://{fifty}/{path}", timeout=30) as answer:
            return answer.headers["cache-control"], answer.read().decode()

    control, page = cached("index.html")
    assert "immutable" not in control
    script = page.partition('src="')[2].partition('"')[0]
    assert "immutable" in cached(script)[0]
