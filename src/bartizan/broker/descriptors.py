"""File descriptors: every connection takes one, and systems hand out few unless asked."""

import resource

RESERVED = 128
"""Descriptors for everything but connections: listeners, store, log, control socket, pollers."""


def make_room() -> int:
    """Raises this process's limit as far as the system allows; how many connections fit then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, soft - RESERVED)
