"""The table of functions, a module a group."""
