"""From configuration to a lease store."""

from __future__ import annotations

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.locations import absolute
from lesto.state import paths
from lesto.state.leases.lease import LeaseStore

#: Folder beside the jobs' checkpoints, when no other storage is configured.
BESIDE_CHECKPOINTS = "_ha"


def ha_type(config: Configuration) -> options.HighAvailabilityType:
    """What is configured; by default the file system where there is durable storage."""
    chosen = config.get(options.HA_TYPE)
    if chosen is not None:
        return chosen
    durable = config.get(options.HA_STORAGE_DIR) or config.get(options.CHECKPOINT_DIR)
    kinds = options.HighAvailabilityType
    return kinds.FILESYSTEM if durable else kinds.NONE


def ha_root(config: Configuration) -> str:
    """URI of this cluster's durable storage; empty: none is configured."""
    storage = absolute(config.get(options.HA_STORAGE_DIR) or "")
    if not storage:
        checkpoints = absolute(config.get(options.CHECKPOINT_DIR) or "")
        if not checkpoints:
            return ""
        storage = paths.join(checkpoints, BESIDE_CHECKPOINTS)
    return paths.join(storage, config.get(options.HA_CLUSTER_ID).strip("/") or "default")


def open_lease_store(config: Configuration) -> LeaseStore | None:
    """The lease of this cluster; None: high availability is off.

    Raises:
        LeaseServiceError: the configuration does not say where it is kept.
        StorageError: the storage's URI cannot be used.
    """
    match ha_type(config):
        case options.HighAvailabilityType.NONE:
            return None
        case options.HighAvailabilityType.ETCD:
            from lesto.state.leases.etcd import EtcdLeaseStore

            return EtcdLeaseStore(config)
        case options.HighAvailabilityType.KUBERNETES:
            from lesto.state.leases.kubernetes import KubernetesLeaseStore

            return KubernetesLeaseStore(config)
        case _:
            from lesto.state.leases.filesystem import FileLeaseStore

            root = ha_root(config)
            if not root:
                from lesto.state.errors import LeaseServiceError

                msg = "high-availability.type is filesystem, and no storage is configured"
                raise LeaseServiceError(
                    msg,
                    remedy="set high-availability.storageDir or execution.checkpointing.dir to a "
                    "directory or URI that all machines reach",
                )
            return FileLeaseStore(root)
