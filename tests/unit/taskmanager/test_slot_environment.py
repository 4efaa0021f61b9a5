"""What a slot process, and so user code, gets of the supervisor's environment."""

from lesto.taskmanager.runtime.slot_process import _environment


def test_the_clusters_token_is_not_handed_to_user_code(monkeypatch):
    monkeypatch.setenv("LESTO_SECURITY__TOKEN", "s3cret")
    monkeypatch.setenv("LESTO_PROPERTIES", "security.token: s3cret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    environment = _environment()
    assert not any("s3cret" in text for text in environment.values())
    assert environment["AWS_REGION"] == "eu-central-1"
