"""Reads the files that settings and policies name; the only module of `config` that does.

What is wrong with one becomes a `ConfigurationError`: which file, and how to fix it.
"""

from pathlib import Path

from bartizan.errors import ConfigurationError

FILE_BYTES_MAX = 1024 * 1024
"""A larger configuration, certificate or CRL file is refused."""


def read_file(path: Path, meaning: str) -> bytes:
    """The bytes of a file, or a `ConfigurationError` that says which file and what to do."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{meaning} does not exist", str(path), "create it, or correct the path") from None
    except PermissionError:
        raise ConfigurationError(
            f"{meaning} may not be read", str(path), "give the user of the broker the right to read it"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{meaning} cannot be read: {error.strerror}", str(path), "correct the path") from None
    if len(content) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{meaning} is larger than {FILE_BYTES_MAX} bytes", str(path), "name the right file")
    return content


def read_secret(path: Path, meaning: str) -> str:
    """The first line of a file that only its owner may read."""
    secret = _read_guarded(path, meaning).decode(errors="replace").split("\n", 1)[0].rstrip("\r")
    if not secret:
        raise ConfigurationError(f"{meaning} is empty", str(path), "write the secret into its first line")
    return secret


def read_secret_octets(path: Path, meaning: str) -> bytes:
    """The secret in a file, without the line's end, whatever octets it is of. Only the owner may read it."""
    content = _read_guarded(path, meaning).rstrip(b"\r\n")
    if not content:
        raise ConfigurationError(f"{meaning} is empty", str(path), "write the secret into it")
    return content


def _read_guarded(path: Path, meaning: str) -> bytes:
    content = read_file(path, meaning)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{meaning} is open to other users", str(path), f"chmod 0600 {path}")
    return content
