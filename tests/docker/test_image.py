"""What the image is made of and how it starts, without a docker daemon."""

import http.server
import json
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from rooms import ROOMS

from lesto.client.cli.arguments import parse_arguments
from lesto.common import options
from lesto.common.config_loading import load_configuration

ROOT = Path(__file__).parents[2]
ENTRY_POINT = ROOT / "deploy/docker/docker-entrypoint.sh"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]


# ------------------------------------------------------------------------------------ entry point


@pytest.fixture
def enter(tmp_path):
    """Run the entry point with a `lesto` that shows what it was given."""
    shown = 'printf "%s\\n" "$0" "$@" >"$OUT.arguments"; env -0 >"$OUT.environment"'
    for name in ("lesto", "python"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{shown}\n")
        (tmp_path / name).chmod(0o755)

    def run(*arguments, **variables):
        out = tmp_path / "out"
        path = f"{tmp_path}:{os.environ['PATH']}"
        subprocess.run(
            ["sh", str(ENTRY_POINT), *arguments],
            env={"PATH": path, "OUT": str(out), **variables},
            check=True, timeout=30,
        )  # fmt: skip
        program, *words = Path(f"{out}.arguments").read_text().splitlines()
        pairs = Path(f"{out}.environment").read_text().split("\0")
        return Path(program).name, words, dict(pair.split("=", 1) for pair in pairs if pair)

    return run


@pytest.mark.parametrize("command", ["jobmanager", "taskmanager", "run", "sql", "list", "--help"])
def test_commands_are_lestos(enter, command):
    assert enter(command, "x y")[:2] == ("lesto", [command, "x y"])


def test_interpreters_and_paths_run_as_they_are(enter, tmp_path):
    assert enter("python", "-c", "1 + 1")[:2] == ("python", ["-c", "1 + 1"])
    assert enter(str(tmp_path / "lesto"), "list")[:2] == ("lesto", ["list"])
    assert enter("lesto", "jobmanager")[:2] == ("lesto", ["jobmanager"])


def test_flinks_variables_configure_lesto(enter):
    _, _, environment = enter(
        "taskmanager",
        FLINK_PROPERTIES="jobmanager.rpc.address: jm-1\nparallelism.default: 3",
        LESTO_PROPERTIES="rest.port: 80",
        TASK_MANAGER_NUMBER_OF_TASK_SLOTS="4",
        JOB_MANAGER_RPC_ADDRESS="jm-2",
    )
    config = load_configuration(env=environment)
    assert config.get(options.TASK_SLOTS) == 4
    assert config.get(options.PARALLELISM) == 3
    assert config.get(options.REST_PORT) == 80
    assert config.get(options.JOBMANAGER_ADDRESS) == "jm-2"
    assert "FLINK_PROPERTIES" not in environment


def test_the_processor_of_the_shipped_kernels_is_named_unless_told(enter):
    _, _, environment = enter("jobmanager")
    assert environment["NUMBA_CPU_NAME"] in {"x86-64-v3", "x86-64", "generic"}
    assert environment["NUMBA_CPU_FEATURES"]
    _, _, environment = enter("jobmanager", NUMBA_CPU_NAME="znver5")
    assert environment["NUMBA_CPU_NAME"] == "znver5"
    assert "NUMBA_CPU_FEATURES" not in environment


def test_the_images_configuration_is_valid_and_needs_a_token():
    config = load_configuration(ROOT / "deploy/docker/config.yaml", env={})
    hosts = (options.JOBMANAGER_BIND_HOST, options.REST_BIND_ADDRESS, options.TASKMANAGER_BIND_HOST)
    assert [config.get(option) for option in hosts] == ["0.0.0.0"] * 3
    assert config.get(options.SECURITY_TOKEN) is None
    assert config.get(options.SECURITY_INSECURE) is False


# ------------------------------------------------------------------------------------------- build


def test_requirements_are_those_of_the_project_and_its_extras(requirements):
    plain = requirements.requirements(ROOT / "pyproject.toml", [])
    assert any(line.startswith("pyarrow") for line in plain)
    assert not any("kafka" in line for line in plain)
    every = requirements.requirements(ROOT / "pyproject.toml", ["all"])
    assert set(plain) < set(every)
    assert any(line.startswith("confluent-kafka") for line in every)
    assert not any(line.startswith("lesto") for line in every)
    with pytest.raises(SystemExit, match="no extra 'kafak'"):
        requirements.requirements(ROOT / "pyproject.toml", ["kafak"])


def test_every_room_is_in_the_build_context():
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert {*ROOMS, "lesto", "pyproject.toml"} <= kept


# ------------------------------------------------------------------------------------ health check


def test_the_command_is_found_behind_its_wrappers(healthcheck):
    entry = "/opt/lesto/libexec/docker-entrypoint.sh"
    words = ["/sbin/docker-init", "--", "/usr/bin/tini", "--", entry, "lesto", "jobmanager"]
    assert healthcheck.command(words) == ["jobmanager"]
    assert healthcheck.check(["/usr/bin/tini", "--", entry, "run", "job.py"]) == ""


def test_a_taskmanager_is_well_when_registered_and_complete(healthcheck):
    def metrics(registered, ready):
        return (
            f'lesto_taskmanager_registered{{taskmanager="t"}} {registered}\n'
            f'lesto_taskmanager_slots_ready{{taskmanager="t"}} {ready}\n'
        )

    assert healthcheck.taskmanager_fault(metrics("1.0", "2.0"), 2) == ""
    assert "does not know" in healthcheck.taskmanager_fault(metrics("0.0", "2.0"), 2)
    assert "1 of 2 slot" in healthcheck.taskmanager_fault(metrics("1.0", "1.0"), 2)
    assert healthcheck.taskmanager_fault("", 2)


def test_its_metrics_are_those_a_taskmanager_serves(healthcheck):
    from lesto.taskmanager.runtime.supervisor_metrics import SupervisorMetrics

    metrics = SupervisorMetrics("tm-health", [], lambda: True)
    try:
        text = metrics.registry.text()
    finally:
        metrics.close()
    assert healthcheck.value(text, healthcheck.REGISTERED) == 1.0
    assert healthcheck.value(text, healthcheck.SLOTS_READY) == 0.0


def test_a_jobmanager_is_asked_with_its_own_token(healthcheck, monkeypatch):
    asked = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(503 if len(asked) > 1 else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        monkeypatch.setenv("LESTO_PROPERTIES", "security.token: s3cret\nrest.bind-address: 0.0.0.0")
        words = ["jobmanager", "--rest-port", str(server.server_port)]
        assert healthcheck.check(words) == ""
        assert healthcheck.check(words).startswith("/healthz answers 503")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert asked == [("/healthz", "Bearer s3cret")] * 2


# ----------------------------------------------------------------------------------------- compose


def test_every_image_of_others_is_pinned_by_version():
    images = {name: service["image"] for name, service in SERVICES.items()}
    others = {image for image in images.values() if not image.startswith("${LESTO_IMAGE")}
    assert {image.partition(":")[0] for image in others} == {
        "apache/kafka", "prom/prometheus", "grafana/grafana",
    }  # fmt: skip
    assert all(re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", image) for image in others)


def test_ports_are_published_on_the_loopback_alone():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", ["jobmanager", "taskmanager", "pipeline", "verifier"])
def test_lestos_services_are_locked_down(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "user" not in service  # the image's: not root


@pytest.mark.parametrize("name", ["jobmanager", "taskmanager", "lesto", "pipeline"])
def test_the_services_commands_and_properties_are_lestos(name, tmp_path):
    parse_arguments([str(word) for word in SERVICES[name]["command"]])
    environment = {"LESTO_PROPERTIES": SERVICES[name]["environment"]["LESTO_PROPERTIES"]}
    load_configuration(ROOT / "deploy/docker/config.yaml", env=environment)


def test_what_is_mounted_is_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_prometheus_is_that_of_deploy_with_names_and_token():
    own = yaml.safe_load((ROOT / "deploy/docker/prometheus.yml").read_text())
    theirs = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    text = json.dumps(own["scrape_configs"]).replace("jobmanager:8081", "127.0.0.1:8081")
    jobs = json.loads(text)
    for job in jobs:
        assert job.pop("authorization", None) or job["http_sd_configs"][0]["authorization"]
        for found in job.get("http_sd_configs", []):
            del found["authorization"], found["refresh_interval"]
    for job in theirs["scrape_configs"]:
        for found in job.get("http_sd_configs", []):
            del found["refresh_interval"]
    assert jobs == theirs["scrape_configs"]
