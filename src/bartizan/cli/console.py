"""What verbs print tables and colours with."""

from functools import partial
from typing import Final

from rich.console import Console

plain_console: Final = partial(Console, highlight=False, emoji=False)
"""A console that shows texts as they are: a fingerprint, an IPv6 address or a topic may well have `:AB:` in it, in whose
place rich would put a picture."""
