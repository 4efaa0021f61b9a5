"""The options by what they are about; ``lesto.common.options`` has them all."""
