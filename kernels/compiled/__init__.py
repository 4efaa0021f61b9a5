"""The loops numba compiles. Importing a module here imports numba; go through the public modules."""
