"""Compiled plans, which are not there. As in ``pyflink.table.compiled_plan``."""

from lesto.client.datastream.absent import absent

_PLANS = "keep the statements: a job is restored from a savepoint by its operators' identities"
CompiledPlan = absent("CompiledPlan", _PLANS)

__all__ = ["CompiledPlan"]
