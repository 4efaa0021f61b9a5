"""The resources of the REST server: a module for each, a class with its endpoints."""
