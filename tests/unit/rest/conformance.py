"""Holds answers of the REST server against the OpenAPI document."""

import functools
import json
import re
from urllib.parse import unquote

import jsonschema

from lesto.jobmanager.server.rest.app import described
from lesto.jobmanager.server.rest.openapi import document


@functools.cache
def rest_document():
    return json.loads(json.dumps(document(described())))


@functools.cache
def _paths():
    found = []
    for path in rest_document()["paths"]:
        pattern = re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(path))
        found.append((path.count("{"), re.compile(f"(?:/v1)?{pattern}"), path))
    return sorted(found, key=lambda entry: entry[0])


@functools.cache
def _validator(path, method, status):
    operation = rest_document()["paths"][path][method]
    responses = operation["responses"]
    response = responses.get(str(status)) or responses[f"{status // 100}XX"]
    if "$ref" in response:
        name = response["$ref"].rpartition("/")[2]
        response = rest_document()["components"]["responses"][name]
    shared = {"components": rest_document()["components"]}
    return {
        media_type: jsonschema.Draft202012Validator({"allOf": [content["schema"]], **shared})
        for media_type, content in response["content"].items()
    }


def check_answer(method, target, status, content_type, text):
    """Fail unless the answer is as the document says; of paths outside it, a problem.

    HEAD answers as GET does, without a body.
    """
    path = unquote(target.partition("?")[0])
    method = "get" if method == "HEAD" else method.lower()
    known = [entry for _, pattern, entry in _paths() if pattern.fullmatch(path)]
    named = [entry for entry in known if method in rest_document()["paths"][entry]]
    if named:
        validators = _validator(named[0], method, status)
    else:
        assert status in {400, 401, 403, 404, 405, 413, 431}, (method, target, status)
        validators = _validator("/overview", "get", 404)
    media_type = content_type.partition(";")[0]
    media_type = "*/*" if "*/*" in validators else media_type
    assert media_type in validators, (method, target, status, content_type)
    if media_type.endswith("json") and text:
        validators[media_type].validate(json.loads(text))
