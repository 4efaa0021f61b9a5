"""Prometheus' and Grafana's files: they name what exists, and are what the code makes."""

import json
import shutil
import subprocess

import pytest
import yaml

from tests.metrics.expressions import (
    ALERTS,
    CONFIG,
    GRAFANA,
    ROOT,
    RUNBOOKS,
    alerts,
    described,
    generator,
    names_in,
    panels,
)

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus"
)


def promtool(*arguments, cwd=None):
    return subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_names_are_found_in_expressions():
    text = 'sum by (lesto_x) (rate(lesto_a_total{job="lesto"}[5m])) > process_open_fds{a="b"}'
    assert names_in(text) >= {"lesto_a_total", "process_open_fds"}
    assert names_in("1 - python_gc_collections_total") == {"python_gc_collections_total"}


def test_dashboards_name_metrics_that_exist():
    asked = panels()
    assert len(asked) > 80
    known = described()
    unknown = {(d, title, name) for d, title, text in asked for name in names_in(text) - known}
    assert not unknown
    assert all(names_in(text) for *_, text in asked)


def test_every_metric_has_its_place_in_a_dashboard():
    shown = {name for *_, text in panels() for name in names_in(text)}
    shown |= {name for rule in alerts() for name in names_in(rule["expr"])}
    hidden = {name for name in described() - shown if not name.endswith(("_count", "_sum"))}
    assert hidden == {
        # Not for every day: REST and the page of metrics have them.
        "lesto_job_last_completed_checkpoint_id",
        "lesto_job_stale_events",
        "lesto_watermark_seconds",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
        "python_gc_objects_collected_total",
        "python_gc_objects_uncollectable_total",
    }


def test_dashboards_are_what_the_code_makes():
    made = generator()
    for dashboard in made.DASHBOARDS:
        path = GRAFANA / "dashboards" / f"{dashboard.uid}.json"
        text = json.dumps(made.dashboard_json(dashboard, made.DASHBOARDS), indent=1) + "\n"
        assert path.read_text(encoding="utf-8") == text, "run deploy/grafana/generate.py"


def test_panels_do_not_overlap_and_ids_are_unique():
    for path in (GRAFANA / "dashboards").glob("*.json"):
        taken, ids = set(), []
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            ids.append(panel["id"])
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, (path.name, panel["title"])
            assert at["x"] + at["w"] <= 24
            taken |= cells
        assert len(set(ids)) == len(ids)


def test_provisioning_points_to_the_dashboards():
    folder = GRAFANA / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((folder / "dashboards/lesto.yml").read_text())["providers"]
    assert provider["options"]["path"].startswith("/")


def test_each_alert_names_metrics_that_exist_and_has_a_runbook():
    known = described() | {"up"}
    for rule in alerts():
        assert names_in(rule["expr"]) <= known, rule["alert"]
        annotations = rule["annotations"]
        assert annotations["summary"], rule["alert"]
        assert annotations["description"], rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        page = RUNBOOKS / f"{rule['alert']}.md"
        assert annotations["runbook_url"] == f"https://lesto.dev/docs/runbooks/{page.name}"
        text = page.read_text(encoding="utf-8")
        for heading in (f"# {rule['alert']}", "## What it means", "## How to see it"):
            assert heading in text, page.name
        assert "## What to do" in text, page.name
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {rule["alert"] for rule in alerts()}


def test_runbooks_link_to_pages_that_exist():
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for target in [part.partition(")")[0] for part in text.split("](")[1:]]:
            assert (RUNBOOKS / target).exists(), (page.name, target)


@needs_promtool
def test_promtool_takes_configuration_and_rules():
    for arguments in (("check", "config", CONFIG), ("check", "rules", ALERTS)):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_fire_when_they_should_and_not_before(tmp_path):
    tests = ROOT / "tests" / "metrics" / "alerts_test.yml"
    rules = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        del rule["annotations"]  # or each expected alert would have to repeat them
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    shutil.copy(tests, tmp_path)
    done = promtool("test", "rules", tests.name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = {
        case["alertname"]
        for test in yaml.safe_load(tests.read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert tried == {rule["alert"] for rule in alerts()}, "each alert fires in some test"
