"""Which configuration and which JobManager a command works with."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.config_loading import load_configuration
from lesto.state import storage_settings

if TYPE_CHECKING:
    from lesto.client.jobmanager_client import JobManagerClient

JOBMANAGER_VARIABLE = "LESTO_JOBMANAGER"


def configuration(arguments: argparse.Namespace) -> Configuration:
    """Return the layered configuration for a command's arguments."""
    config = load_configuration(arguments.config, arguments.properties)
    storage_settings.configure(config)
    return config


def jobmanager_address(arguments: argparse.Namespace, config: Configuration) -> str:
    """Return ``host:port`` from -m, LESTO_JOBMANAGER or the configuration, the first that is."""
    given: str | None = arguments.jobmanager or os.environ.get(JOBMANAGER_VARIABLE)
    if given:
        return given
    return f"{config.get(options.JOBMANAGER_ADDRESS)}:{config.get(options.JOBMANAGER_PORT)}"


def connect(arguments: argparse.Namespace) -> JobManagerClient:
    """Return a client of the JobManager that the arguments name."""
    from lesto.client.jobmanager_client import JobManagerClient
    from lesto.client.local_token import find_token
    from lesto.common.tls import internal_tls

    config = configuration(arguments)
    address = jobmanager_address(arguments, config)
    return JobManagerClient(
        address,
        find_token(config, address),
        timeout=config.get(options.CLIENT_TIMEOUT),
        failover_timeout=config.get(options.CLIENT_FAILOVER_TIMEOUT),
        config=config,
        tls=internal_tls(config),
    )
