"""The folders of the product; users reach each as ``lesto.<room>`` only."""

ROOMS = (
    "client",
    "common",
    "connectors",
    "jobmanager",
    "kernels",
    "proto",
    "sql",
    "state",
    "taskmanager",
    "testing",
)
