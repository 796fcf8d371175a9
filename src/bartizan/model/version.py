"""The version of MQTT that a client speaks."""

_TEXTS = {"V31": "3.1", "V311": "3.1.1", "V5": "5.0"}


def version_text(named: str) -> str:
    """As people write it; `named` is the engine's word for it."""
    return _TEXTS.get(named, named)
