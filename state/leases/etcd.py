"""The lease in etcd: one key, changed by transactions on its revision (the v3 JSON gateway).

Observers' own clocks decide when a lease is over, as for every other service here; etcd's leases
with their time to live are not used, so that one rule holds everywhere.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from lesto.common import options
from lesto.common.config import Configuration
from lesto.state.errors import LeaseServiceError
from lesto.state.leases.http_json import JsonService
from lesto.state.leases.lease import Candidate, Lease

_UNAUTHENTICATED = frozenset({401, 403})


class EtcdLeaseStore:
    """The key ``/lesto/<cluster id>/leader``.

    Args:
        config: ``high-availability.etcd.*``, ``high-availability.cluster-id``.

    Raises:
        LeaseServiceError: no endpoint is configured.
    """

    def __init__(self, config: Configuration) -> None:
        endpoints = (config.get(options.HA_ETCD_ENDPOINTS) or "").split(",")
        timeout = config.get(options.HA_LEASE_DURATION).total_seconds() / 3
        self._services = [JsonService(e.strip(), timeout) for e in endpoints if e.strip()]
        if not self._services:
            msg = "high-availability.type is etcd, and high-availability.etcd.endpoints is not set"
            raise LeaseServiceError(msg, remedy="set it to etcd's URLs: http://10.0.0.5:2379,...")
        cluster = config.get(options.HA_CLUSTER_ID).strip("/")
        self._key = _b64(f"/lesto/{cluster}/leader")
        self._user = config.get(options.HA_ETCD_USER)
        self._password = config.get(options.HA_ETCD_PASSWORD)
        self._token = ""

    def read(self) -> Lease | None:
        """Linearizable: through the quorum."""
        found = self._call("/v3/kv/range", {"key": self._key}).get("kvs", [])
        return _lease(found[0]) if found else None

    def acquire(self, seen: Lease | None, candidate: Candidate) -> Lease | None:
        """Put the next term, if the key is as it was seen."""
        term = seen.term + 1 if seen is not None else 1
        lease = Lease(term, candidate.holder, candidate.address, "0", process=candidate.process)
        return self._put(lease, seen.version if seen is not None else "")

    def renew(self, lease: Lease) -> Lease | None:
        """Put the next beat, if the key is as this holder left it."""
        beat = str(int(lease.beat) + 1)
        renewed = Lease(lease.term, lease.holder, lease.address, beat, process=lease.process)
        return self._put(renewed, lease.version)

    def release(self, lease: Lease) -> None:
        """Mark it as given up."""
        self._put(
            Lease(lease.term, lease.holder, lease.address, lease.beat, True, lease.process),
            lease.version,
        )

    def close(self) -> None:
        """Nothing is open."""

    def _put(self, lease: Lease, version: str) -> Lease | None:
        """The lease as it is now if it is this holder's; None: it is somebody else's."""
        compare: dict[str, Any] = {"key": self._key, "result": "EQUAL"}
        if version:
            compare |= {"target": "MOD", "mod_revision": version}
        else:
            compare |= {"target": "CREATE", "create_revision": "0"}
        value = {
            "term": lease.term,
            "holder": lease.holder,
            "address": lease.address,
            "beat": lease.beat,
            "released": lease.released,
            "process": lease.process,
        }
        put = {"key": self._key, "value": _b64(json.dumps(value))}
        answer = self._call(
            "/v3/kv/txn",
            {
                "compare": [compare],
                "success": [{"requestPut": put}],
                "failure": [{"requestRange": {"key": self._key}}],
            },
        )
        if answer.get("succeeded"):
            return _with_version(lease, str(answer["header"]["revision"]))
        ranges = [r.get("response_range", {}) for r in answer.get("responses", [])]
        found = [kv for each in ranges for kv in each.get("kvs", [])]
        present = _lease(found[0]) if found else None
        # The answer to an earlier try may have been lost: then the key is ours, one step on.
        mine = present is not None and (present.term, present.holder) == (lease.term, lease.holder)
        return present if mine else None

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the endpoints in turn; the one that answered is asked first from now on."""
        last: LeaseServiceError | None = None
        for _ in range(len(self._services)):
            try:
                return self._ask(self._services[0], path, body)
            except LeaseServiceError as error:
                last = error
                self._services.append(self._services.pop(0))
        assert last is not None
        raise last

    def _ask(self, service: JsonService, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self._user and not self._token:
            self._log_in(service)
        headers = {"Authorization": self._token} if self._token else {}
        status, answer = service.call("POST", path, body, headers)
        if status in _UNAUTHENTICATED and self._user:
            self._log_in(service)
            status, answer = service.call("POST", path, body, {"Authorization": self._token})
        if status != 200:
            self._token = ""
            msg = f"etcd at {service.base} answered {status}: {str(answer)[:300]}"
            raise LeaseServiceError(msg, remedy="look at etcd's log and at its user's rights")
        found: dict[str, Any] = answer
        return found

    def _log_in(self, service: JsonService) -> None:
        status, answer = service.call(
            "POST", "/v3/auth/authenticate", {"name": self._user, "password": self._password or ""}
        )
        if status != 200:
            msg = f"etcd at {service.base} does not accept the user {self._user}"
            raise LeaseServiceError(
                msg, remedy="set high-availability.etcd.user and high-availability.etcd.password"
            )
        self._token = str(answer["token"])


def _lease(kv: dict[str, Any]) -> Lease:
    try:
        value = json.loads(base64.b64decode(kv["value"]))
        return Lease(
            int(value["term"]),
            str(value["holder"]),
            str(value["address"]),
            str(value["beat"]),
            bool(value["released"]),
            str(value["process"]),
            str(kv["mod_revision"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        msg = f"the key of the leader in etcd is not Lesto's: {error!r}"
        raise LeaseServiceError(
            msg, remedy="choose another high-availability.cluster-id"
        ) from error


def _with_version(lease: Lease, version: str) -> Lease:
    return Lease(
        lease.term,
        lease.holder,
        lease.address,
        lease.beat,
        lease.released,
        lease.process,
        version,
    )


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
