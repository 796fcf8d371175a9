"""Bartizan: a secure MQTT broker. The public names, re-exported, and nothing else."""

from bartizan.errors import BartizanError, ConfigurationError, InvalidValue

__all__ = ["BartizanError", "ConfigurationError", "InvalidValue"]
