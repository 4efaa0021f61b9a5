"""References to compiled plans, which are not there. As in ``pyflink.table.plan_reference``."""

from lesto.client.datastream.absent import absent

_PLANS = "keep the statements: a job is restored from a savepoint by its operators' identities"
PlanReference = absent("PlanReference", _PLANS)
BytesContentPlanReference = absent("BytesContentPlanReference", _PLANS)
FilePlanReference = absent("FilePlanReference", _PLANS)
JsonContentPlanReference = absent("JsonContentPlanReference", _PLANS)

__all__ = [
    "BytesContentPlanReference",
    "FilePlanReference",
    "JsonContentPlanReference",
    "PlanReference",
]
