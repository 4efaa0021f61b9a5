"""What a request to run a file asks for."""

import pytest

from lesto.common.errors import LestoError
from lesto.jobmanager.server.rest.errors import BadRequestError
from lesto.jobmanager.server.submission.requests import run_request


def test_the_body_wins_over_the_query():
    query = {"parallelism": 2, "entry-class": "a.b", "programArg": ["x"], "savepointPath": "/s"}
    found = run_request("i", {"parallelism": 3, "programArgsList": []}, query.get)
    assert (found.parallelism, found.entry, found.arguments) == (3, "a.b", ())
    assert found.savepoint == "/s"


def test_arguments_as_one_text_are_split_as_a_shell_does():
    assert run_request("i", {"programArgs": "--in 'a b' c"}).arguments == ("--in", "a b", "c")


def test_options_are_checked_and_flinks_of_no_meaning_pass():
    found = run_request(
        "i",
        {
            "flinkConfiguration": {
                "execution.checkpointing.interval": "2 s",
                "taskmanager.memory.process.size": "1g",
            },
            "claimMode": "CLAIM",
        },
    )
    assert found.config == {
        "execution.checkpointing.interval": "2 s",
        "execution.state-recovery.claim-mode": "CLAIM",
    }
    with pytest.raises(LestoError, match="unknown option"):
        run_request("i", {"flinkConfiguration": {"no.such.option": "1"}})


@pytest.mark.parametrize(
    "body",
    [
        {"entryClass": "a", "module": "b"},
        {"entryClass": "os;rm"},
        {"entryClass": "../x"},
        {"module": "a-b"},
        {"module": "a.b:c"},
        {"programArgs": "a 'b"},
        {"programArgs": "a", "programArgsList": ["b"]},
        {"programArgsList": ["a\0b"]},
    ],
)
def test_contradictions_are_refused(body):
    with pytest.raises(BadRequestError):
        run_request("i", body)
