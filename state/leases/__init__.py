"""Who leads the cluster: a lease in a service that all its processes reach.

The JobManagers campaign for it; TaskManagers and clients read the leader's address from it.
"""

from lesto.state.leases.finding import LeaderFinder, split_addresses
from lesto.state.leases.lease import Candidate, Lease, LeaseStore
from lesto.state.leases.opening import ha_root, ha_type, open_lease_store

__all__ = [
    "Candidate",
    "LeaderFinder",
    "Lease",
    "LeaseStore",
    "ha_root",
    "ha_type",
    "open_lease_store",
    "split_addresses",
]
