"""SQL and the Table API. As in ``pyflink.table``."""

from lesto.client.table.data_types import DataTypes
from lesto.client.table.environment import TableEnvironment
from lesto.client.table.expression import Expression
from lesto.client.table.grouped import (
    GroupedTable,
    GroupWindowedTable,
    OverWindowedTable,
    WindowGroupedTable,
)
from lesto.client.table.kinds import ChangelogMode, ExplainDetail, ResultKind
from lesto.client.table.results import TableResult
from lesto.client.table.settings import EnvironmentSettings, SqlDialect, TableConfig
from lesto.client.table.statement_set import StatementSet, TablePipeline
from lesto.client.table.stream_environment import StreamTableEnvironment
from lesto.client.table.table import Table
from lesto.client.table.table_descriptor import FormatDescriptor, Schema, TableDescriptor
from lesto.client.table.table_schema import TableSchema
from lesto.client.table.types import UserDefinedType
from lesto.client.table.udf import (
    AggregateFunction,
    AsyncScalarFunction,
    FunctionContext,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
)
from lesto.common.elements import RowKind
from lesto.common.row import Row
from lesto.sql.users.views import DataView, ListView, MapView
from lesto.table.compiled_plan import CompiledPlan
from lesto.table.module import Module, ModuleEntry
from lesto.table.plan_reference import PlanReference

__all__ = [
    "AggregateFunction",
    "AsyncScalarFunction",
    "ChangelogMode",
    "CompiledPlan",
    "DataTypes",
    "DataView",
    "EnvironmentSettings",
    "ExplainDetail",
    "Expression",
    "FormatDescriptor",
    "FunctionContext",
    "GroupWindowedTable",
    "GroupedTable",
    "ListView",
    "MapView",
    "Module",
    "ModuleEntry",
    "OverWindowedTable",
    "PlanReference",
    "ResultKind",
    "Row",
    "RowKind",
    "ScalarFunction",
    "Schema",
    "SqlDialect",
    "StatementSet",
    "StreamTableEnvironment",
    "Table",
    "TableAggregateFunction",
    "TableConfig",
    "TableDescriptor",
    "TableEnvironment",
    "TableFunction",
    "TablePipeline",
    "TableResult",
    "TableSchema",
    "UserDefinedType",
    "WindowGroupedTable",
]
