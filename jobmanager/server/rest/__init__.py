"""The REST server: Flink's paths and JSON fields, so that its tools can read and steer our jobs."""
