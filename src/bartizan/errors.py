"""Every error Bartizan raises: one root, one subclass per thing a caller can do about it.

Catch `BartizanError` for all of them. `exit_code` is what the command line ends with:
1 for "it failed", 2 for "what you wrote is wrong".
"""

from typing import ClassVar

# ruff: noqa: N818  the names say what happened: `raise AlreadyExists` needs no second "Error"


class BartizanError(Exception):
    """The root of all errors that Bartizan raises on purpose."""

    exit_code: ClassVar[int] = 1


class InvalidValue(BartizanError, ValueError):
    """A name or value breaks the rules of its type. To do: correct the value."""

    exit_code = 2


class ConfigurationError(BartizanError):
    """The configuration cannot be used. To do: what `fix` says.

    Renders as one line: what is wrong, where it stands, how to fix it.
    """

    exit_code = 2

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(" ".join(f"{what} ({where}): {fix}".split()))
        self.what = what
        self.where = where
        self.fix = fix


class AlreadyExists(BartizanError):
    """Something of this name is there already. To do: choose another name, or remove the first."""


class NotFound(BartizanError):
    """Nothing of this name is there. To do: check the name, or create it."""


class Conflict(BartizanError):
    """Someone else changed it in between. To do: read it again and repeat."""


class StoreUnavailable(BartizanError):
    """A store cannot be opened or used. To do: what the message says, then retry."""


class CertificateUnusable(BartizanError):
    """A certificate, key or CRL is unreadable, expired or does not fit. To do: replace the file."""

    exit_code = 2


class StartRefused(BartizanError):
    """The engine cannot start as it is told to. To do: what the message says."""

    exit_code = 2


class ChangeRefused(BartizanError):
    """A running broker did not take a change; everything is as before. To do: what the message says."""


class NotInForce(BartizanError):
    """A change is stored, and a running broker does not hold to it yet. To do: look again, and repeat it if need be."""


class EngineUnavailable(BartizanError):
    """The native engine is not built or not running. To do: build it (`make build`)."""
