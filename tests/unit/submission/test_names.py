"""What clients call files never becomes a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.jobmanager.server.submission.errors import InvalidUploadError
from lesto.jobmanager.server.submission.names import artifact_id, label_of, parts_of

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("job.py", "job.py"),
        ("/etc/cron.d/job.py", "job.py"),
        ("..\\..\\windows\\job.zip", "job.zip"),
        ("a\0/b.py", "b.py"),
        ("...py.whl", "py.whl"),
        ("über job.PY", "_ber_job.py"),
        ("lesto_job-1.0+local-py3-none-any.whl", "lesto_job-1.0+local-py3-none-any.whl"),
        ("-rf.pyz", "rf.pyz"),
    ],
)
def test_the_last_part_is_kept_made_harmless(given_name, kept):
    assert label_of(given_name) == kept


@pytest.mark.parametrize(
    "name", ["", ".py", "..", "/", "job", "job.jar", "job.py/", "job.py/.", "\0"]
)
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(InvalidUploadError):
        label_of(name)


@given(st.text(max_size=300))
def test_any_label_stays_in_its_folder(name):
    try:
        label = label_of(name)
    except InvalidUploadError:
        return
    assert parts_of(artifact_id(DIGEST, label)) == (DIGEST[:32], label)
    assert not set(label) & set("/\\\0\n")
    assert not label.startswith(".")
    assert len(label) <= 100


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "job.py",
        "../" + "0" * 32 + "_job.py",
        "0" * 32 + "_../job.py",
        "0" * 31 + "_job.py",
        "0" * 32 + "_job.py\n",
        "0" * 32 + "_.incoming",
    ],
)
def test_what_is_no_id_is_none(identifier):
    assert parts_of(identifier) is None
