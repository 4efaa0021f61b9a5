"""Resource requirements over REST: Flink's JSON of a job's parallelism."""

import pytest

from lesto.jobmanager.errors import RescaleRefusedError
from lesto.proto import client_pb2 as pb
from tests.unit.rest.test_rest import JOB, OTHER, FakeJobManager, client, server

__all__ = ["client", "server"]


class Rescalable(FakeJobManager):
    """Takes up to 128."""

    def rescale(self, job_id, parallelism=0, vertices=None):
        self.calls.append(("rescale", job_id, parallelism, vertices))
        if vertices["a"][1] > 128:
            msg = "'Source: flights' cannot have parallelism 129"
            raise RescaleRefusedError(msg, remedy="ask for less")
        return pb.RescaleJobResponse(vertices={"a": 3, "b": 3}, pause_ms=5)


@pytest.fixture
def jobmanager():
    return Rescalable()


def bounds(lower, upper):
    return {"parallelism": {"lowerBound": lower, "upperBound": upper}}


def test_resource_requirements_are_read_and_changed_with_flinks_json(client, jobmanager):
    path = f"/jobs/{JOB}/resource-requirements"
    assert client.get(path).json() == {"a": bounds(1, 2), "b": bounds(1, 2)}
    answer = client.request("PUT", path, json={"a": bounds(1, 3), "b": bounds(2, 3)})
    assert (answer.status_code, answer.json()) == (200, {})
    assert jobmanager.calls == [("rescale", JOB, 0, {"a": (1, 3), "b": (2, 3)})]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "the body has fewer than 1 members"),
        ({"a": 3}, "a is not an object"),
        ({"a": {}}, "a.parallelism is missing"),
        ({"a": {"parallelism": 3}}, "a.parallelism is not an object"),
        ({"a": bounds(1, "3")}, "a.parallelism.upperBound is not a whole number"),
        ({"a": bounds(True, 3)}, "a.parallelism.lowerBound is not a whole number"),
        ({"a": bounds(0, 3)}, "a.parallelism.lowerBound is less than 1"),
        ({"a": bounds(1, 1 << 20)}, "a.parallelism.upperBound is more than 32768"),
        ({"a": bounds(3, 2)}, "above its upperBound"),
        ({"a": bounds(1, 129)}, "cannot have parallelism 129"),
    ],
)
def test_requirements_that_make_no_sense_are_refused(client, body, detail):
    answer = client.request("PUT", f"/jobs/{JOB}/resource-requirements", json=body)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]


def test_requirements_of_an_unknown_job_are_not_found(client):
    path = f"/jobs/{OTHER}/resource-requirements"
    assert client.get(path).status_code == 404
    assert client.request("PUT", path, json={"a": bounds(1, 2)}).status_code == 404
