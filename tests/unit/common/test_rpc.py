"""Tokens and named errors in call metadata."""

from lesto.client.errors import UnknownJobError
from lesto.common.rpc import (
    RemoteError,
    call_metadata,
    error_from_metadata,
    error_metadata,
    is_authorized,
)


def test_a_call_shows_the_token():
    assert is_authorized("secret", call_metadata("secret"))
    assert not is_authorized("secret", call_metadata("other"))
    assert not is_authorized("secret", call_metadata(None))
    assert not is_authorized("secret", (("authorization", "secret"),))
    assert is_authorized(None, ())


def test_an_error_arrives_as_its_own_class():
    sent = UnknownJobError("no job ü", remedy="look", location="a.py:3")
    got = error_from_metadata(error_metadata(sent))
    assert type(got) is UnknownJobError
    assert (got.message, got.remedy, got.location) == ("no job ü", "look", "a.py:3")


def test_an_error_of_an_unknown_class_keeps_its_code():
    got = error_from_metadata((("lesto-code", "LESTO-3999"), ("lesto-message-bin", b"odd")))
    assert isinstance(got, RemoteError)
    assert str(got) == "LESTO-3999: odd"
    assert error_from_metadata((("other", "x"),)) is None


def test_long_texts_are_cut_to_what_grpc_carries():
    fields = dict(error_metadata(UnknownJobError("x" * 100_000)))
    assert len(fields["lesto-message-bin"]) <= 2048
