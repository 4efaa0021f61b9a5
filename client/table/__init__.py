"""The Table API and SQL: statements, catalogs, plans."""
