"""Which answers ask for another attempt. As in ``pyflink.datastream.async_retry_predicates``."""

from lesto.common.async_functions import (
    empty_result_predicate,
    exception_type_predicate,
    has_exception_predicate,
)

__all__ = ["empty_result_predicate", "exception_type_predicate", "has_exception_predicate"]
