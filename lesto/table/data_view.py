"""Lists and dictionaries within accumulators. As in ``pyflink.table.data_view``."""

from lesto.sql.users.views import DataView, ListView, MapView

__all__ = ["DataView", "ListView", "MapView"]
