"""Requests made of the OpenAPI document, against a running cluster with a job.

    python -m tests.rest.fuzz --cases 2000

Half of the requests fit the document, half do not on purpose. Each answer has to be as the document
says, within a second, and a 5xx has an error id. Whatever is not, is printed; the exit code says
whether there was any.
"""

import argparse
import contextlib
import random
import sys
import time
import warnings
from collections import Counter

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common import WatermarkStrategy
from lesto.common.config import Configuration
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import StreamExecutionEnvironment
from lesto.jobmanager.server.rest.server import RestServer
from lesto.jobmanager.server.submission.runs import Target

#: Longest time for an answer, beside what the request itself asks to wait.
ANSWER_SECONDS = 1.0
#: Questions that wait on purpose: here mostly a tenth of a second, at most their default.
WAITS = {"flamegraph": {"duration": 100}, "records": {"timeout": 100}}
WAIT_SECONDS = 2.0
#: What is not asked of the job itself: it is to go on.
ENDS_JOBS = {("PATCH", "/jobs/{jobid}"), ("POST", "/jobs/{jobid}/stop")}
ENDS_JOBS |= {("PUT", "/jobs/{jobid}/resource-requirements")}
#: Each starts a process of its own for seconds; their tests are tests/cluster/test_sql_gateway.py.
STARTS_PROCESSES = {"/sql/v1/sessions", "/sql/v2/sessions", "/sql/v3/sessions"}
CHECK_NAMES = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@contextlib.contextmanager
def served_job(folder, **options):
    """A cluster with an endless job of two vertices; REST's address, and ids that are real."""
    config = Configuration.from_dict(
        {
            "rest.port": 0,
            "io.tmp.dirs": str(folder),
            "execution.checkpointing.savepoint-dir": folder,
        }
        | options
    )
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(MiniCluster(config, slots=1))
        client = stack.enter_context(JobManagerClient(cluster.address, cluster.token))
        rest = RestServer(config)
        stack.callback(rest.stop)
        address = rest.start(client, Target(lambda: client.address, cluster.token, client.cancel))
        cluster.wait_ready()
        job_id = submit(cluster)
        while client.job(job_id).checkpoints.completed < 1:
            time.sleep(0.05)
        details = client.job(job_id)
        known = {
            "jobid": [job_id],
            "vertexid": [vertex.id for vertex in details.vertices],
            "taskmanagerid": [tm.taskmanager_id for tm in client.cluster().taskmanagers],
            "checkpointid": [str(s.checkpoint_id) for s in details.checkpoints.history],
            "subtaskindex": ["0", "1"],
            "logname": ["jobmanager.log", "taskmanager.log", "slot-0.log"],
        }
        yield f"http://{address}", known


def submit(cluster):
    config = Configuration.from_dict({"security.token": cluster.token})
    env = StreamExecutionEnvironment(config, RunOptions(jobmanager=cluster.address))
    env.set_parallelism(1).enable_checkpointing(500)
    source = DataGenSource({"t": sequence()}, rows_per_second=200)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
    stream.key_by("t").map(lambda row: row).sink_to(BlackholeSink())
    return str(env.execute_async("fuzzed").get_job_id())


class Fuzz:
    """Sends requests and judges answers."""

    def __init__(self, url, known, seed=0, answer_seconds=ANSWER_SECONDS):
        self.url = url
        self.known = known
        self.answer_seconds = answer_seconds
        self.seed = seed
        self.random = random.Random(seed)
        self.session = requests.Session()
        self.failures = []
        self.statuses = Counter()
        self.slowest = (0.0, "")
        self.count = 0
        document = self.session.get(f"{url}/openapi.json", timeout=10).json()
        self.schema = schemathesis.openapi.from_dict(document)
        load_all_checks()
        self.checks = [CHECKS.get_one(name) for name in CHECK_NAMES]

    def operations(self):
        found = [operation.ok() for operation in self.schema.get_all_operations()]
        return [one for one in found if one.path not in STARTS_PROCESSES or one.method != "post"]

    def run(self, cases):
        """Send so many, each operation alike often; in several rounds, as some have few forms."""
        operations = self.operations()
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        while self.count < cases:
            each = max(1, (cases - self.count) // len(operations) // len(modes))
            for operation in operations:
                for mode in modes:
                    if self.count < cases:
                        self._some(operation, mode, each)

    def _some(self, operation, mode, count):
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except Exception:  # nothing of this operation can be made wrong
            return

        @hypothesis.seed(self.seed + self.count)
        @hypothesis.settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(strategy)
        def send(case):
            self._send(case)

        try:
            send()
        except hypothesis.errors.Unsatisfiable:
            pass  # it has no input that could be wrong
        except Exception as error:
            if "Unsatisfiable" not in type(error).__name__:
                raise

    def _send(self, case):
        self._make_real(case)
        self.count += 1
        began = time.monotonic()
        try:
            response = case.call(
                base_url=self.url, session=self.session, timeout=30 * self.answer_seconds
            )
        except (requests.RequestException, ValueError) as error:
            if isinstance(error, (requests.Timeout, requests.ConnectionError)):
                self.failures.append(f"{case.method} {case.formatted_path}: {error!r}")
            return  # else it is none that this client can send
        seconds = time.monotonic() - began
        self.statuses[response.status_code] += 1
        self._judge(case, response, seconds)

    def _make_real(self, case):
        """Ids of what there is, in most requests: else all answers were 404."""
        method = case.method.upper()
        if (method, case.operation.path) in ENDS_JOBS or not case.path_parameters:
            pass
        elif self.random.random() < 0.75:
            for name in case.path_parameters:
                if name in self.known:
                    case.path_parameters[name] = self.random.choice(self.known[name])
        waits = WAITS.get(case.operation.path.rpartition("/")[2])
        if waits and self.random.random() < 0.8 and not isinstance(case.query, str):
            case.query = {**(case.query or {}), **waits}

    def _waits(self, case):
        """Seconds that a request asks to wait."""
        waits = WAITS.get(case.operation.path.rpartition("/")[2], {})
        query = case.query if isinstance(case.query, dict) else {}
        asked = [query[name] for name in waits if type(query.get(name)) is int]
        return (max(asked) / 1000 if asked else WAIT_SECONDS) if waits else 0.0

    def _judge(self, case, response, seconds):
        what = f"{case.method} {case.formatted_path} {case.query} {str(case.body)[:200]}"
        if seconds > self.slowest[0]:
            self.slowest = (seconds, what)
        if seconds > self.answer_seconds + self._waits(case):
            self.failures.append(f"{what}: {seconds:.1f} s")
        if response.status_code >= 500:
            problem = response.json()
            if len(problem.get("error_id", "")) != 16 or response.status_code == 500:
                self.failures.append(f"{what}: {response.status_code} {problem}")
        try:
            case.validate_response(response, checks=self.checks)
        except Exception as error:
            told = "; ".join(str(one) for one in getattr(error, "exceptions", [error]))
            self.failures.append(f"{what}: {told[:1500]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=ANSWER_SECONDS)
    parser.add_argument("--folder", default="/tmp/lesto-fuzz")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with served_job(args.folder) as (url, known):
        fuzz = Fuzz(url, known, args.seed, args.seconds)
        began = time.monotonic()
        fuzz.run(args.cases)
        seconds = time.monotonic() - began
        alive = fuzz.session.get(f"{url}/jobs/{known['jobid'][0]}/status", timeout=10).json()
    for failure in fuzz.failures:
        print(failure)
    print(f"{fuzz.count} requests in {seconds:.0f} s, {len(fuzz.failures)} failures")
    print(f"statuses {dict(sorted(fuzz.statuses.items()))}; job {alive['status']}")
    print(f"slowest {fuzz.slowest[0]:.2f} s: {fuzz.slowest[1]}")
    return 1 if fuzz.failures or alive["status"] != "RUNNING" else 0


if __name__ == "__main__":
    sys.exit(main())
