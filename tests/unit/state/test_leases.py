"""One contract, three services: files, a real etcd, and the Lease API of Kubernetes (a fake)."""

import contextlib
import threading

import pytest
from fake_kubernetes import FakeKubernetes
from real_etcd import is_missing, real_etcd

from lesto.common.config import Configuration
from lesto.state.errors import LeaseServiceError
from lesto.state.leases import Candidate, LeaderFinder, ha_root, ha_type, open_lease_store

A = Candidate("jm-a", "10.0.0.1:6123", "boot/1/2/3")
B = Candidate("jm-b", "10.0.0.2:6123")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    missing = is_missing()
    if missing:
        pytest.skip(missing)
    with real_etcd(tmp_path_factory.mktemp("etcd")) as url:
        yield url


@pytest.fixture(params=["filesystem", "etcd", "kubernetes"])
def connect(request, tmp_path):
    """Makes connections to one lease."""
    with contextlib.ExitStack() as stack:
        more = {"high-availability.storageDir": str(tmp_path)}
        if request.param == "etcd":
            url = request.getfixturevalue("etcd")
            # The first endpoint is dead: the next one answers.
            more["high-availability.etcd.endpoints"] = f"http://127.0.0.1:9,{url}"
            more["high-availability.cluster-id"] = tmp_path.name
        if request.param == "kubernetes":
            fake = stack.enter_context(FakeKubernetes())
            more["high-availability.kubernetes.api-server"] = fake.url
        config = Configuration.from_dict({"high-availability.type": request.param, **more})
        yield lambda: open_lease_store(config)


def test_one_leads_until_another_takes_over(connect):
    a, b = connect(), connect()
    assert a.read() is None
    mine = a.acquire(None, A)
    assert (mine.term, mine.holder, mine.address, mine.process) == (1, *_of(A))
    assert b.acquire(None, B) is None, "there is a leader already"
    seen = b.read()
    assert (seen.term, seen.holder, seen.address, seen.process) == (1, *_of(A))
    mine = a.renew(mine)
    assert b.read().beat != seen.beat
    theirs = b.acquire(b.read(), B)
    assert (theirs.term, theirs.holder) == (2, B.holder)
    assert a.renew(mine) is None
    a.release(mine)
    assert not b.read().released, "an ex-leader gave up what it did not have"
    assert b.renew(theirs) is not None


def _of(candidate):
    return candidate.holder, candidate.address, candidate.process


def test_every_renewal_is_seen(connect):
    a, b = connect(), connect()
    mine = a.acquire(None, A)
    beats = set()
    for _ in range(5):
        mine = a.renew(mine)
        beats.add(b.read().beat)
    assert len(beats) == 5


def test_a_lease_that_is_given_up_is_free(connect):
    a, b = connect(), connect()
    a.release(a.acquire(None, A))
    seen = b.read()
    assert seen.released
    assert b.acquire(seen, B).term == 2
    assert not a.read().released


def test_of_many_at_once_one_wins(connect):
    first = connect()
    first.acquire(None, A)
    won, barrier = [], threading.Barrier(6)

    def campaign(number):
        store = connect()
        seen = store.read()
        barrier.wait()
        lease = store.acquire(seen, Candidate(f"jm-{number}", "x:1"))
        if lease is not None:
            won.append(lease)

    threads = [threading.Thread(target=campaign, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = won
    assert winner.term == 2
    assert first.read().holder == winner.holder


def test_kubernetes_a_renewal_whose_answer_is_lost_is_not_the_end(tmp_path):
    with FakeKubernetes() as fake:
        config = Configuration.from_dict(
            {
                "high-availability.type": "kubernetes",
                "high-availability.kubernetes.api-server": fake.url,
            }
        )
        store = open_lease_store(config)
        mine = store.acquire(None, A)
        fake.lose_next_answer = True
        with pytest.raises(LeaseServiceError):
            store.renew(mine)
        assert store.renew(mine).holder == A.holder
        assert ("PATCH", 409) in fake.calls


def test_kubernetes_what_others_put_on_the_lease_stays():
    """A chart or an operator makes the object, owns it, and lets JobManagers change only it."""
    with FakeKubernetes() as fake:
        made = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": "lesto-default",
                "labels": {"app.kubernetes.io/instance": "mine"},
                "ownerReferences": [{"name": "owner"}],
            },
        }
        assert fake.answer("POST", fake.path("default"), made)[0] == 201
        config = Configuration.from_dict(
            {
                "high-availability.type": "kubernetes",
                "high-availability.kubernetes.api-server": fake.url,
            }
        )
        store = open_lease_store(config)
        seen = store.read()
        assert seen.released
        mine = store.acquire(seen, A)
        assert mine.term > seen.term
        assert store.acquire(seen, B) is None
        mine = store.renew(mine)
        store.release(mine)
        metadata = fake.leases["default", "lesto-default"]["metadata"]
        assert metadata["labels"] == {"app.kubernetes.io/instance": "mine"}
        assert metadata["ownerReferences"] == [{"name": "owner"}]
        assert {method for method, _ in fake.calls} == {"GET", "PATCH"}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("etcd", "high-availability.etcd.endpoints"),
        ("kubernetes", "high-availability.kubernetes.api-server"),
    ],
)
def test_a_service_that_is_not_there_has_a_name(kind, key):
    config = Configuration.from_dict({"high-availability.type": kind})
    with pytest.raises(LeaseServiceError, match=r"etcd\.endpoints|runs in no pod"):
        open_lease_store(config)
    config = Configuration.from_dict({"high-availability.type": kind, key: "http://127.0.0.1:9"})
    with pytest.raises(LeaseServiceError, match="does not answer"):
        open_lease_store(config).read()


def test_the_file_system_is_the_default_where_there_is_durable_storage():
    def kind(**options):
        found = {k.replace("_", "."): v for k, v in options.items()}
        return ha_type(Configuration.from_dict(found)).value

    assert kind() == "NONE"
    assert kind(execution_checkpointing_dir="/ck") == "filesystem"
    assert ha_root(Configuration.from_dict({"execution.checkpointing.dir": "/ck"})) == (
        "/ck/_ha/default"
    )
    given = {"execution.checkpointing.dir": "/ck", "high-availability.type": "NONE"}
    assert open_lease_store(Configuration.from_dict(given)) is None


def test_a_leader_is_looked_for_where_it_may_be(tmp_path):
    config = Configuration.from_dict({"high-availability.storageDir": str(tmp_path)})
    open_lease_store(config).acquire(None, A)
    finder = LeaderFinder(("x:1", "y:2"), config)
    assert [finder.next() for _ in range(4)] == ["x:1", A.address, "y:2", A.address]
    finder.hint("z:3")
    assert finder.next() == "z:3"
    assert finder.next() == "x:1"
    finder.silent("x:1")
    finder.hint("x:1")
    tried = [finder.next() for _ in range(12)]
    assert "x:1" not in tried[:6], "an address that fell silent is tried again at once"
    assert "x:1" in tried[6:]
    only = LeaderFinder(("x:1",))
    only.silent("x:1")
    assert only.next() == "x:1"
