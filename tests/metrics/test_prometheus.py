"""A real Prometheus scrapes a cluster: what dashboards and alerts ask has an answer."""

import pytest

from tests.metrics.expressions import alerts, panels

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster and one Prometheus serve these tests; their end is checked"),
]

#: Panels that stay empty with these jobs.
EMPTY = {
    "Waiting in Kafka",
    "Look-ups answered by the cache",
    "Look-up requests",
    "Time of the latest look-up, keys kept",
}
#: Of panels with several queries those that stay empty.
EMPTY_QUERIES = ("lesto_retractions_ignored", "lesto_num_null_row_time")


def filled(expression, world):
    """An expression as Grafana sends it."""
    for name, value in {
        "$job_id": world.job_id,
        "$task": ".*",
        "$__rate_interval": "10s",
    }.items():
        expression = expression.replace(name, value)
    return expression


def test_every_process_is_scraped(prometheus):
    up = prometheus.query("up")
    assert all(series["value"][1] == "1" for series in up)
    kinds = sorted(series["metric"]["process"] for series in up)
    assert kinds == ["jobmanager", "slot", "slot", "slot", "slot", "taskmanager"]
    (own,) = prometheus.query("lesto_taskmanager_registered")
    assert own["metric"]["taskmanager"].startswith("tm-")
    assert not prometheus.query('{exported_job=~".+"}')


def test_every_panel_has_data(prometheus, world):
    empty = []
    for dashboard, title, expression in panels():
        series = prometheus.query(filled(expression, world))
        if not series and not any(name in expression for name in EMPTY_QUERIES):
            empty.append((dashboard, title, expression))
    assert {title for _, title, _ in empty} <= EMPTY, empty


def test_every_alert_is_evaluated_and_none_cries_wolf(prometheus):
    prometheus.wait(lambda p: all(rule["health"] == "ok" for rule in p.rules()))
    rules = {rule["name"]: rule for rule in prometheus.rules()}
    assert rules.keys() == {rule["alert"] for rule in alerts()}
    assert not [rule["lastError"] for rule in rules.values() if rule.get("lastError")]
    firing = {name for name, rule in rules.items() if rule["state"] == "firing"}
    # The job sets records aside on purpose. Its event time begins in 1970, but not for long enough.
    assert firing <= {"LestoDeadLetters"}


def test_alerts_have_their_annotations_filled(prometheus):
    prometheus.wait(lambda p: _alert(p, "LestoDeadLetters"))
    alert = _alert(prometheus, "LestoDeadLetters")
    assert alert["annotations"]["summary"].startswith("picky")
    assert "records in 15 minutes became dead letters" in alert["annotations"]["description"]


def _alert(prometheus, name):
    (rule,) = [rule for rule in prometheus.rules() if rule["name"] == name]
    return rule["alerts"][0] if rule["alerts"] else None
