"""Models, which are not there. As in ``pyflink.table.model_descriptor``."""

from lesto.client.datastream.absent import absent

ModelDescriptor = absent("ModelDescriptor", "call the model in a udf")

__all__ = ["ModelDescriptor"]
