"""The OpenAPI document: valid, current, and what the server says of itself."""

import json
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from lesto.jobmanager.server.rest.app import described, endpoints
from lesto.jobmanager.server.rest.routing import PATH_PARAMETERS, Endpoint
from lesto.jobmanager.server.rest.validation import check
from tests.unit.rest.conformance import rest_document
from tests.unit.rest.test_rest import client, jobmanager, server

__all__ = ["client", "jobmanager", "server"]

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_openapi():
    OpenAPIV31SpecValidator(rest_document()).validate()


def test_the_document_in_docs_is_current():
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert kept == rest_document(), "run scripts/gen-docs"


def test_the_server_serves_its_document(client):
    for path in ("/openapi.json", "/v1/openapi.json"):
        assert client.get(path).json() == rest_document()


def test_every_path_parameter_is_bounded_and_no_path():
    for name, parameter in PATH_PARAMETERS.items():
        for bad in ("", "..", "../x", "a/b", "a\\b", "a\0", "x" * 300, ".", "a\n"):
            with pytest.raises(Exception, match=name):
                check(bad, parameter.schema, name)


def test_every_schema_that_is_referred_to_exists():
    known = rest_document()["components"]["schemas"].keys()
    text = json.dumps(rest_document())
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= known
    assert known <= used, "a component that nothing uses"


def test_two_endpoints_of_one_name_are_a_defect():
    class Twice:
        def endpoints(self):
            return [Endpoint("GET", "/a", print, "")] * 2

    with pytest.raises(ValueError, match="/a"):
        endpoints([Twice()])


def test_literal_paths_come_before_parameters():
    paths = [endpoint.path for endpoint in described()]
    assert paths.index("/jobs/overview") < paths.index("/jobs/{jobid}")
