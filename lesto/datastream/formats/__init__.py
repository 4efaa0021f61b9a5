"""Formats of messages. As in ``pyflink.datastream.formats``."""
