"""What a listener's `authentication` may not ask for: entries that would prove nobody, or tell passwords to others."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from bartizan.config.accounts import Accounts, Webhook
from bartizan.config.authenticators import Introspection, Scram
from bartizan.config.certificate import CertificateRules
from bartizan.config.listener import Listener

PASSWORD = "password"  # noqa: S105  the built-in's name, not one


def check_proofs(listener: str, at: Listener, authenticators: Mapping[str, BaseModel]) -> None:
    """`ValueError` for the first mistake of a listener."""
    rows = at.proofs or ()
    takes_passwords = any(PASSWORD in row for row in rows)
    for part in sorted({part for row in rows for part in row} & authenticators.keys()):
        settings = authenticators[part]
        if isinstance(settings, CertificateRules) and not at.takes_certificates:
            raise ValueError(
                f"listeners.{listener} names authenticators.{part}, but no client certificate can come there: "
                f"remove one of the two"
            )
        if takes_passwords and isinstance(settings, Introspection) and settings.takes_passwords:
            raise ValueError(
                f"listeners.{listener} takes passwords, and authenticators.{part} would send them to its issuer: "
                f'set token_in = "auth" there, or take "password" out of authentication'
            )
        if not at.tls and isinstance(settings, Scram) and settings.channel_binding == "required":
            raise ValueError(
                f'listeners.{listener} has no TLS, and authenticators.{part} asks for channel_binding = "required": '
                f"nobody could ever prove it"
            )
    _check_order(listener, rows, authenticators)


def _check_order(listener: str, rows: Sequence[Sequence[str]], authenticators: Mapping[str, BaseModel]) -> None:
    own = next((at for at, row in enumerate(rows) if PASSWORD in row), 0)
    for at, row in enumerate(rows):
        told = [part for part in row if _is_told_passwords(authenticators.get(part))]
        if told and at < own:
            raise ValueError(
                f"listeners.{listener} would send the passwords of your own identities to authenticators.{told[0]}: "
                f'put "password" before "{told[0]}" in authentication'
            )
        if all(_only_refuses(authenticators.get(part)) for part in row):
            raise ValueError(
                f"authenticators.{row[0]} does not see the password, so it proves nobody by itself: join it with "
                f'something that does, such as "certificate + {row[0]}"'
            )


def _is_told_passwords(settings: BaseModel | None) -> bool:
    return isinstance(settings, Accounts) and getattr(settings, "sends_password", False)


def _only_refuses(settings: BaseModel | None) -> bool:
    return isinstance(settings, Webhook) and not settings.sends_password
