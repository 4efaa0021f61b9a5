"""What a dashboard is, and how Grafana stores it."""

from dataclasses import dataclass, field

WIDTH = 24  # of Grafana's grid
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
JOB = 'job_id="$job_id"'
TASK = 'job_id="$job_id", task=~"$task"'
WINDOW = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: above it.
        queries: (PromQL, legend).
        unit: Grafana's name of it.
        kind: timeseries or stat.
        width: of 24.
        help: behind the "i".
        stacked: one series on another.
        most: upper end of the axis.
        steps: (from, colour) of a stat's thresholds.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    help: str = ""
    stacked: bool = False
    most: float | None = None
    steps: tuple[tuple[float | None, str], ...] = ((None, "blue"),)


@dataclass(frozen=True)
class Row:
    """Panels below a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice above the dashboard."""

    name: str
    label: str
    query: str
    multi: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; ``uid`` is its file's name."""

    uid: str
    title: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = field(default=())


def graph(title, *queries, unit="short", **more):
    """Lines over time."""
    return Panel(title, queries, unit, **more)


def stat(title, query, unit="short", steps=((None, "blue"),), help=""):
    """One number."""
    return Panel(title, ((query, ""),), unit, "stat", 4, help, steps=steps)


BAD_ABOVE_ZERO = ((None, "green"), (1, "red"))
BAD_AT_ZERO = ((None, "red"), (1, "green"))

JOB_VARIABLE = Variable("job_id", "Job", "label_values(lesto_job_running, job_id)")
TASK_VARIABLE = Variable(
    "task", "Task", 'label_values(lesto_busy_seconds_total{job_id="$job_id"}, task)', multi=True
)


def panel_json(number, panel, x, y):
    """A panel as Grafana stores it."""
    height = STAT_HEIGHT if panel.kind == "stat" else GRAPH_HEIGHT
    defaults = {"unit": panel.unit, "min": 0}
    if panel.most is not None:
        defaults["max"] = panel.most
    options = {"legend": {"displayMode": "list", "placement": "bottom"}}
    if panel.kind == "stat":
        steps = [{"value": value, "color": colour} for value, colour in panel.steps]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    else:
        mode = "normal" if panel.stacked else "none"
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 5,
            "stacking": {"mode": mode, "group": "A"},
        }
        options["tooltip"] = {"mode": "multi", "sort": "desc"}
    targets = [
        {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for i, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def panels_json(rows):
    """All panels with their places: left to right, then a line below."""
    made, y = [], 0
    for row in rows:
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        made.append(
            {"id": len(made) + 1, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        )
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            made.append(panel_json(len(made) + 1, panel, x, y))
            x, height = x + panel.width, made[-1]["gridPos"]["h"]
        y += height
    return made


def variable_json(variable):
    """A choice that Prometheus fills."""
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.label,
        "datasource": SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "definition": variable.query,
        "refresh": 2,
        "sort": 1,
        "multi": variable.multi,
        "includeAll": variable.multi,
        "allValue": ".*" if variable.multi else None,
        "current": {"text": "All", "value": "$__all"} if variable.multi else {},
    }


def dashboard_json(dashboard, every):
    """One of several dashboards as Grafana stores it."""
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus"}
    others = [other for other in every if other is not dashboard]
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["lesto"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {"type": "link", "title": other.title, "url": f"/d/{other.uid}", "keepTime": True}
            for other in others
        ],
        "templating": {
            "list": [
                {**source, "query": "prometheus", "refresh": 1},
                *map(variable_json, dashboard.variables),
            ]
        },
        "panels": panels_json(dashboard.rows),
    }
