"""Watermark strategies, under PyFlink's module name. See :mod:`lesto.common.watermarks`."""

from lesto.common.watermarks import TimestampAssigner, WatermarkStrategy

__all__ = ["TimestampAssigner", "WatermarkStrategy"]
