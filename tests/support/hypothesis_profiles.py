"""How many examples hypothesis tries: few and the same each time in CI, many on demand.

``HYPOTHESIS_PROFILE=thorough scripts/test -k windows`` tries fifty times as many, at random.
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = 50
FACTORS = {"ci": 1, "thorough": 50}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
# How long an example takes says only how busy the machine is.
_UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("ci", max_examples=EXAMPLES, derandomize=True, **_UNTIMED)
settings.register_profile("thorough", max_examples=EXAMPLES * FACTORS["thorough"], **_UNTIMED)


def examples(count):
    """Return how many to try where the profile tries ``EXAMPLES``; a decorator's other numbers."""
    return count * FACTORS[PROFILE]
