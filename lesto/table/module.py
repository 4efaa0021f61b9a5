"""Modules of functions, which are not there. As in ``pyflink.table.module``."""

from lesto.client.datastream.absent import absent

_REMEDY = "register functions one by one: create_temporary_function"
Module = absent("Module", _REMEDY)
ModuleEntry = absent("ModuleEntry", _REMEDY)
HiveModule = absent("HiveModule", _REMEDY)

__all__ = ["HiveModule", "Module", "ModuleEntry"]
