"""A relative path means the directory of the one who wrote it, not those of the cluster."""

from types import SimpleNamespace

import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.common import Configuration, options
from lesto.datastream import StreamExecutionEnvironment


@pytest.mark.parametrize(
    ("given", "sent"),
    [("points", "{cwd}/points"), ("", ""), ("s3://bucket/p", "s3://bucket/p"), ("/p", "/p")],
)
@pytest.mark.parametrize("verb", ["savepoint", "stop"])
def test_of_a_savepoint(monkeypatch, tmp_path, verb, given, sent):
    monkeypatch.chdir(tmp_path)
    requests = []

    def call(_method, request, **_):
        requests.append(request)
        return SimpleNamespace(path="done")

    client = JobManagerClient("127.0.0.1:1")
    monkeypatch.setattr(client, "_call", call)
    with client:
        getattr(client, verb)("job", given)
    assert requests[0].target == sent.format(cwd=tmp_path)


def test_of_a_job(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = Configuration()
    env = StreamExecutionEnvironment(config)
    env.set_default_savepoint_directory("points")
    env.get_checkpoint_config().set_checkpoint_storage_dir(tmp_path / "chk")
    assert env.get_default_savepoint_directory() == f"{tmp_path}/points"
    assert env._config.get(options.CHECKPOINT_DIR) == f"{tmp_path}/chk"
