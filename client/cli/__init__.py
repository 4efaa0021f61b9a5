"""The ``lesto`` command."""
