"""The loops numba compiles. Importing one imports numba: use the public modules."""
