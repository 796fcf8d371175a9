"""Who works at this command line."""

from bartizan.audit.actor import Actor


def operator() -> str:
    """The user of the system, and behind sudo the one who called it."""
    return Actor.local().name
