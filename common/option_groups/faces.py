"""What people and tools see of a cluster."""

from __future__ import annotations

from datetime import timedelta

from lesto.common.option_types import ConfigOption

# ------------------------------------------------------------------------------------------- faces

REST_ADDRESS = ConfigOption(
    "rest.address", str, "127.0.0.1", "Host at which clients reach the REST server."
)
REST_PORT = ConfigOption(
    "rest.port",
    int,
    8081,
    "Port of the REST server; 0 takes a free one.",
    minimum=0,
    maximum=65535,
)
REST_BIND_ADDRESS = ConfigOption(
    "rest.bind-address",
    str,
    "127.0.0.1",
    "Address that the REST server listens on. Anything but loopback needs security.token, or "
    "security.ssl.rest.authentication-enabled.",
)
REST_PROCESS = ConfigOption(
    "rest.server.process",
    bool,
    True,
    "Whether `lesto jobmanager` serves REST from a process of its own, whose clients cannot delay "
    "the JobManager; else from a thread, which takes less memory.",
)
WEB_CANCEL = ConfigOption(
    "web.cancel.enable", bool, True, "Whether the dashboard offers to cancel jobs."
)
SECURITY_TOKEN: ConfigOption[str | None] = ConfigOption(
    "security.token",
    str,
    None,
    "Secret that clients and processes of the cluster show to each other.",
    secret=True,
)
SECURITY_INSECURE = ConfigOption(
    "security.insecure",
    bool,
    False,
    "Listen beyond loopback without a token. Whoever reaches the port can then run code.",
)
METRICS_PORT = ConfigOption(
    "metrics.port",
    int,
    0,
    "Port of a process's Prometheus endpoint; 0 takes a free one, -1 opens none.",
    aliases=("metrics.reporter.prom.port",),
    minimum=-1,
    maximum=65535,
)
METRICS_BIND_HOST = ConfigOption(
    "metrics.bind-host", str, "127.0.0.1", "Address that Prometheus endpoints listen on."
)
TRACES_ENDPOINT: ConfigOption[str | None] = ConfigOption(
    "traces.otel.endpoint",
    str,
    None,
    "Where the JobManager sends spans of checkpoints, starts and recoveries, by OTLP over HTTP: "
    "http://collector:4318/v1/traces. Needs the extra otel; the variables OTEL_* count too.",
    aliases=("traces.reporter.otel.exporter.endpoint",),
)
LOG_DIR: ConfigOption[str | None] = ConfigOption(
    "env.log.dir",
    str,
    None,
    "Folder below which each process keeps its log files, besides what it writes to standard "
    "error. Without it they are in a temporary folder and go with the process.",
)
LOG_LEVEL = ConfigOption(
    "log.level",
    str,
    "INFO",
    "Least severe level that is logged.",
    choices=("DEBUG", "INFO", "WARNING", "ERROR"),
)
LOG_FORMAT = ConfigOption(
    "log.format",
    str,
    "auto",
    "Shape of a log line; auto: for people on a terminal, JSON elsewhere.",
    choices=("auto", "console", "json"),
)

# ------------------------------------------------------------------------------ submitting by REST

WEB_SUBMIT = ConfigOption(
    "web.submit.enable",
    bool,
    True,
    "Whether programs can be uploaded and run, and SQL sessions opened, over REST.",
)
WEB_UPLOAD_DIR: ConfigOption[str | None] = ConfigOption(
    "web.upload.dir",
    str,
    None,
    "Folder below which uploaded programs are kept. Without it they are kept beside the jobs of "
    "high availability if those are on a local disk, else in a temporary folder, and go with the "
    "JobManager.",
)
WEB_SUBMIT_TIMEOUT = ConfigOption(
    "web.submit.timeout",
    timedelta,
    timedelta(seconds=60),
    "Time that an uploaded program gets to submit its first job.",
)
SQL_GATEWAY_SESSIONS = ConfigOption(
    "sql-gateway.session.max-num",
    int,
    8,
    "SQL sessions that may be open over REST; each is a process.",
    minimum=1,
    maximum=1_000,
)
SQL_GATEWAY_IDLE = ConfigOption(
    "sql-gateway.session.idle-timeout",
    timedelta,
    timedelta(minutes=10),
    "Time without a request behind which a SQL session is closed; 0: never.",
)
