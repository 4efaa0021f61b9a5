"""What the dashboards and alerts ask Prometheus."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import yaml

from lesto.common.metric_table import DESCRIPTIONS, LIBRARY_METRICS, MetricKind

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yml"
GRAFANA = ROOT / "deploy" / "grafana"
RUNBOOKS = ROOT / "docs" / "runbooks"
NAME = re.compile(r"\b(?:lesto|process|python)_[a-z0-9_]+\b(?!\s*=)")


def generator():
    """The module that writes the dashboards."""
    spec = importlib.util.spec_from_file_location("grafana_generate", GRAFANA / "generate.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


def alerts():
    """The rules of alerts.yml."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    """(dashboard, title, expression) of each query of the dashboards as they are checked in."""
    found = []
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        made = json.loads(path.read_text(encoding="utf-8"))
        for panel in made["panels"]:
            for target in panel.get("targets", ()):
                found.append((made["uid"], panel["title"], target["expr"]))
    return found


def described():
    """Every name that a scrape may have."""
    names = set(LIBRARY_METRICS)
    for metric in DESCRIPTIONS.values():
        names.add(metric.exposed)
        if metric.kind is MetricKind.SUMMARY:
            names |= {f"{metric.exposed}_count", f"{metric.exposed}_sum"}
    return names


def names_in(expression):
    """Names of metrics in PromQL."""
    return set(NAME.findall(expression))
