"""Names that are none, in every parameter of every path."""

import http.client
import json

import pytest

from lesto.jobmanager.server.rest.app import described
from tests.unit.rest.test_jobmanager import Answering
from tests.unit.rest.test_rest import JOB, client, server

__all__ = ["client", "server"]


@pytest.fixture
def jobmanager():
    return Answering()


HOSTILE = (
    "..",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cboot.ini",
    "%252e%252e%252fetc%252fpasswd",
    "%00",
    "a%00.log",
    "%ff%fe",
    "%c0%ae%c0%ae%c0%af",
    "a%0d%0aX-Injected:%201",
    "*",
    "{}",
    "$%7Bjndi:ldap:%2f%2fx%7D",
    "%27%20or%201=1--",
    "a" * 5_000,
    "9" * 400,
    "-1",
    "1e9",
    "%E2%80%AE",
    "%3Cscript%3E",
)

#: What stands for the other parameters of a path.
FITTING = {"jobid": JOB, "vertexid": "a", "checkpointid": "2", "subtaskindex": "0"}


def filled(path, names, hostile_name, hostile):
    for name in names:
        value = hostile if name == hostile_name else FITTING.get(name, "0" * 32)
        path = path.replace(f"{{{name}}}", value)
    return path


def paths_of(tag_is_sql):
    for endpoint in described():
        if endpoint.path.startswith("/sql/") != tag_is_sql:
            continue
        names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
        for name in names:
            for hostile in HOSTILE:
                yield endpoint.method, filled(endpoint.path, names, name, hostile)


@pytest.mark.parametrize("tag_is_sql", [False, True], ids=["rest", "sql"])
def test_no_parameter_of_a_path_takes_what_is_no_name(client, tag_is_sql):
    connection = http.client.HTTPConnection(client.address, timeout=20)
    asked = 0
    for method, path in paths_of(tag_is_sql):
        connection.request(method, path, headers={"Accept": "*/*"})
        answer = connection.getresponse()
        text = answer.read().decode()
        asked += 1
        assert 400 <= answer.status < 500, (method, path, answer.status)
        assert "root:" not in text
        assert "x-injected" not in answer.headers
        assert json.loads(text)["code"].startswith("LESTO-")
        if answer.will_close:
            connection.close()
    connection.close()
    assert asked > 300
