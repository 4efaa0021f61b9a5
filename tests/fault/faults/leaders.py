"""JobManagers with a standby (``jobmanager_kills.py``), and rescaling under load, in the table."""

from tests.fault import jobmanager_kills, live_rescale
from tests.fault.exactly_once import violations
from tests.fault.registry import Fault, Form, add, nothing_needed


def _told(report, strikes):
    wrong = [f"{name} {value}" for name, value in violations(report).items()]
    if report.get("stale_writes"):
        wrong.append(f"stale_writes {report['stale_writes']}: {report['stale_names']}")
    if report.get("tasks_left"):
        wrong.append(f"{report['tasks_left']} slots are not free behind the job")
    return {**report, "strikes": strikes, "wrong": wrong}


def _leader(what):
    def run(folder, form, seed, more):
        report = jobmanager_kills.one_run(
            folder, [jobmanager_kills.SCENARIOS[what]] * form.strikes, rows=form.rows,
            rate=form.rate, seed=seed, more=tuple(more.items()),
        )  # fmt: skip
        return _told(report, [{"what": what, **figures} for figures in report.pop("figures")])

    return run


def _rescaled(folder, form, seed, _more):
    steps = [(3, 1, 2)[n % 3] for n in range(form.strikes)]
    report = live_rescale.one_run(
        folder, rows=form.rows, rate=form.rate, steps=steps, seed=seed, interval=form.interval
    )
    pauses = [pause_ms / 1000 for pause_ms in report["pauses_ms"]]
    strikes = [
        {"what": f"rescale to {step}", "running": pause}
        for step, pause in zip(steps, pauses, strict=True)
    ]
    told = _told(report, strikes)
    if max(pauses) > live_rescale.PAUSE_SECONDS_MAX:
        told["wrong"].append(f"paused for {max(pauses):.1f} s")
    return told


SHORT = Form(seconds=10, strikes=1)
for _name, _test, _what, _summary in (
    ("standby-kill", "T6", "standby", "kill -9 of the leading JobManager beside a standby."),
    ("standby-stop", "T9", "pause", "The leader stops, a standby leads, the old one wakes fenced."),
):  # fmt: skip
    add(
        Fault(
            _name, _test, _leader(_what), SHORT,
            Form(seconds=60, rate=15_000, strikes=10, runs=3, interval="300ms"),
            nothing_needed, _summary,
        )
    )  # fmt: skip
add(
    Fault(
        "rescale", "T20", _rescaled, Form(seconds=12, strikes=3, interval="1s"),
        Form(seconds=120, rate=20_000, strikes=30, interval="1s", runs=3),
        nothing_needed, "Rescaled in place under load: to 3, to 1, to 2.",
    )
)  # fmt: skip
