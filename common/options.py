"""Every configuration option, by Flink's key where Flink has the option, with Lesto's default.

``docs/configuration.md`` is generated from the groups, whose blocks are its sections.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from lesto.common.option_groups.checkpoints import *  # noqa: F403
from lesto.common.option_groups.faces import *  # noqa: F403
from lesto.common.option_groups.failures import *  # noqa: F403
from lesto.common.option_groups.foreign import *  # noqa: F403
from lesto.common.option_groups.pipeline import *  # noqa: F403
from lesto.common.option_groups.processes import *  # noqa: F403
from lesto.common.option_groups.security import *  # noqa: F403
from lesto.common.option_groups.tables import *  # noqa: F403
from lesto.common.option_groups.values import *  # noqa: F403 - one namespace for all options
from lesto.common.option_types import ConfigOption


@cache
def known_options() -> dict[str, ConfigOption[Any]]:
    """Return every option by key, in the order of this file."""
    return {item.key: item for item in globals().values() if isinstance(item, ConfigOption)}


@cache
def known_aliases() -> dict[str, ConfigOption[Any]]:
    """Return the option that each older key sets."""
    return {alias: option for option in known_options().values() for alias in option.aliases}
