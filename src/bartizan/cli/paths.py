"""Paths of what a broker is asked for: each word is one level of it, whatever characters it is of."""

from urllib.parse import quote


def path_of(*words: str) -> str:
    """The path. What peers and people chose names nothing above it, and nothing beside it."""
    return "".join(f"/{_level(word)}" for word in words)


def _level(word: str) -> str:
    # A level of one or two dots would be resolved on its way (RFC 3986, 5.2.4): `credentials/..` is the identity.
    return word.replace(".", "%2E") if word in {".", ".."} else quote(word, safe="")
