"""Requests made of the OpenAPI document against a running cluster: the small form.

The whole: ``python -m tests.rest.fuzz --cases 2000``.
"""

import pytest

from tests.rest.fuzz import Fuzz, served_job

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore"),  # of schemathesis and hypothesis
    pytest.mark.leaks_ok(
        "one server for all; its pools grow with their use", only=("threads", "fds")
    ),
]
CASES = 240
#: Seconds for an answer: of a machine that does other things.
PATIENCE = 10.0


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with served_job(str(tmp_path_factory.mktemp("fuzz"))) as found:
        yield found


def test_each_answer_is_as_the_document_says(served):
    url, known = served
    fuzz = Fuzz(url, known, answer_seconds=PATIENCE)
    fuzz.run(CASES)
    assert not fuzz.failures
    assert fuzz.count > CASES / 2
    assert fuzz.statuses[200] > fuzz.count / 5
    job = fuzz.session.get(f"{url}/jobs/{known['jobid'][0]}/status", timeout=10).json()
    fuzz.session.close()
    assert job == {"status": "RUNNING"}
