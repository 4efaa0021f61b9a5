"""What PyFlink's table environment has and Lesto's has not, by name."""

from __future__ import annotations

from typing import Any, NoReturn

from lesto.client.datastream.checks import unsupported
from lesto.client.datastream.no_meaning import no_meaning
from lesto.client.table.statement_set import NO_PLANS

_MODELS = "call the model in a udf"
_FUNCTIONS = "register functions by create_temporary_function"


class EnvironmentAbsences:
    """Part of TableEnvironment."""

    def list_modules(self) -> list[str]:
        """There is one: core."""
        return ["core"]

    def list_full_modules(self) -> list[str]:
        """There is one: core."""
        return ["core"]

    def load_module(self, module_name: str, module: Any) -> None:
        """Changes nothing: functions are registered one by one."""
        no_meaning("load_module", _FUNCTIONS)

    def unload_module(self, module_name: str) -> None:
        """Changes nothing: functions are registered one by one."""
        no_meaning("unload_module", _FUNCTIONS)

    def use_modules(self, *module_names: str) -> None:
        """Changes nothing: functions are registered one by one."""
        no_meaning("use_modules", _FUNCTIONS)

    def list_materialized_tables(self) -> list[str]:
        """There are none."""
        return []

    def list_models(self) -> list[str]:
        """There are none."""
        return []

    def list_temporary_models(self) -> list[str]:
        """There are none."""
        return []

    def create_model(
        self, model_path: str, model_descriptor: Any, ignore_if_exists: bool | None = False
    ) -> NoReturn:
        """Not supported: there are no models."""
        unsupported("create_model", _MODELS)

    def create_temporary_model(
        self, model_path: str, model_descriptor: Any, ignore_if_exists: bool | None = False
    ) -> NoReturn:
        """Not supported: there are no models."""
        unsupported("create_temporary_model", _MODELS)

    def drop_model(self, model_path: str, ignore_if_not_exists: bool | None = True) -> NoReturn:
        """Not supported: there are no models."""
        unsupported("drop_model", _MODELS)

    def drop_temporary_model(self, model_path: str) -> NoReturn:
        """Not supported: there are no models."""
        unsupported("drop_temporary_model", _MODELS)

    def compile_plan_sql(self, stmt: str) -> NoReturn:
        """Not supported: keep the statements."""
        unsupported("compile_plan_sql", NO_PLANS)

    def load_plan(self, plan_reference: Any) -> NoReturn:
        """Not supported: keep the statements."""
        unsupported("load_plan", NO_PLANS)

    def execute_plan(self, plan_reference: Any) -> NoReturn:
        """Not supported: keep the statements."""
        unsupported("execute_plan", NO_PLANS)
