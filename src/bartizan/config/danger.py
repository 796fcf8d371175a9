"""The risks in force: every `danger_*` with its reason.

Printed at start, shown by `doctor`, counted in metrics.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bartizan.config.schema import Settings


@dataclass(frozen=True, slots=True)
class Danger:
    """One risk that the operator took, in their own words."""

    setting: str
    """The key that takes it, such as `listeners.lab.danger_plaintext`."""
    reason: str
    effect: str
    where: str
    """What it exposes: the address, or the URL that is asked."""


EFFECTS = {
    "danger_plaintext": "no TLS: everyone on the way can read and change messages and passwords",
    "danger_anonymous": "clients that present nothing are let in with the role `anonymous`",
    "danger_ignore_credentials": "User Names and Passwords are not checked: every client is `anonymous`",
    "danger_plaintext_jwks": "keys of tokens come without TLS: who is on the way can replace them and be anyone",
    "danger_plaintext_introspection": "tokens are asked about without TLS: who is on the way can be anyone",
    "danger_plaintext_webhook": "passwords are sent to a service without TLS: everyone on the way can read them",
    "danger_plaintext_ldap": "passwords are sent to a directory without TLS: who is on the way reads them and can be anyone",
    "danger_plaintext_alert": "findings are told without TLS: everyone on the way can read them",
    "danger_plaintext_sink": "the record is sent without TLS: everyone on the way reads it, and can leave some out",
    "danger_plaintext_metrics": "figures are sent without TLS: everyone on the way reads them",
    "danger_plaintext_traces": "spans of requests are sent without TLS: everyone on the way reads what was asked",
    "danger_stale_crl": "certificates are accepted though their CRL is missing or out of date: they may be revoked",
    "danger_public_http": "metrics and health can be read without login from other machines",
}
"""One line of effect for each `danger_*` key of the schema; a test keeps it complete."""

ASKED_AT = ("jwks_url", "introspection_url", "webhook_url", "ldap_url", "logs_url", "metrics_url", "traces_url")
"""The keys of authenticators, of sinks, and of collectors, that say whom they ask."""


def dangers(settings: Settings) -> tuple[Danger, ...]:
    """Every risk in force, in a stable order."""
    return tuple(_dangers(settings))


def _dangers(settings: Settings) -> Iterator[Danger]:
    listeners = [
        (f"listeners.{name}", listener.bind, listener) for name, listener in sorted(settings.listeners.items())
    ]
    sections: list[tuple[str, object]] = [
        *((f"authenticators.{name}", kind) for name, kind in sorted(settings.authenticators.items())),
        *((f"audit.sinks.{name}", kind) for name, kind in sorted(settings.audit.sinks.items())),
        ("metrics.otlp", settings.metrics.otlp),
        ("traces", settings.traces),
    ]
    asked = [
        (path, next((url for key in ASKED_AT if (url := getattr(kind, key, None))), ""), kind)
        for path, kind in sections
    ]
    told = [
        (f"alerts.{name}", getattr(alert, "alert_url", getattr(alert, "address", "")), alert)
        for name, alert in sorted(settings.alerts.items())
    ]
    for path, bind, section in [*listeners, *asked, *told, ("http", settings.http.bind or "", settings.http)]:
        for key, effect in EFFECTS.items():
            reason = getattr(section, key, None)
            if reason is not None:
                yield Danger(setting=f"{path}.{key}", reason=reason, effect=effect, where=bind)
