"""Settings -> the JSON the engine starts from: the same key names, paths replaced by what they hold."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bartizan.config.files import read_file
from bartizan.config.layout import DataDirectory
from bartizan.config.listener import Listener
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class FetchedCrls:
    """The lists of a listener's `crl_urls`, as they are known now."""

    pems: tuple[str, ...] = ()
    stale: bool = False
    """One of them counts beyond its end."""
    unknown: bool = False
    """Certificates are accepted that no list speaks for."""


NONE_FETCHED = FetchedCrls()
Fetched = Callable[[str], FetchedCrls]
"""Takes a listener's name."""


def engine_config(
    settings: Settings, data: DataDirectory, fetched: Fetched = lambda _name: NONE_FETCHED
) -> dict[str, Any]:
    """The engine's configuration as plain JSON values. Holds private keys: never log it."""
    for name, listener in settings.listeners.items():
        if listener.crl_urls and fetched(name) == NONE_FETCHED:
            # Without any list the engine would check nothing.
            raise ConfigurationError(
                "no list of crl_urls was fetched", f"listeners.{name}", "report this: no setting causes it"
            )
    return {
        "broker": settings.broker.model_dump(mode="json"),
        "listeners": [
            {
                **listener.model_dump(mode="json", include=_PLAIN),
                "name": name,
                "unix_mode": int(listener.unix_mode, 8),
                "anonymous": listener.danger_anonymous is not None,
                "ignore_credentials": listener.danger_ignore_credentials is not None,
                "durability": listener.durability or settings.store.durability,
                "tls": tls_material(settings, name, data, fetched(name)) if listener.tls else None,
                "limits": settings.limits_of(name).model_dump(mode="json"),
            }
            for name, listener in sorted(settings.listeners.items())
        ],
        "limits": settings.limits.model_dump(mode="json"),
        "store": {**settings.store.model_dump(mode="json"), "path": str(data.store)},
        "control": settings.dynsec.mode != "off",
    }


_PLAIN = {
    "bind",
    "protocol",
    "mqtt_versions",
    "denied_publish_v311",
    "proxy_protocol_from",
    "origins",
    "websocket_path",
    "loopback_only",
    "response_information",
}


def crl_files(listener: Listener, data: DataDirectory) -> tuple[Path, ...]:
    """The files of lists by which a listener refuses certificates."""
    if listener.client_certificates == "off":
        return ()
    own = (data.crl,) if listener.client_ca_file is None else ()
    return own if listener.crl_files is None else listener.crl_files


def tls_material(settings: Settings, name: str, data: DataDirectory, fetched: FetchedCrls) -> dict[str, Any]:
    """Certificates, key and CRLs of a TLS listener as PEM texts, read now: call again to reload."""
    listener = settings.listeners[name]
    crls = crl_files(listener, data)
    if listener.client_certificates == "off":
        roots = ""
    else:
        roots = read_file(listener.client_ca_file or data.ca_certificate, "the client CA file").decode(errors="replace")
    return {
        "chain_pem": read_file(listener.certificate_file or data.server_certificate, "the certificate file").decode(
            errors="replace"
        ),
        "key_pem": read_file(listener.key_file or data.server_key, "the key file").decode(errors="replace"),
        "client_roots_pem": roots,
        "crls_pem": [*(read_file(crl, "the CRL file").decode(errors="replace") for crl in crls), *fetched.pems],
        "stale_crls": fetched.stale,
        "unknown_revocation": fetched.unknown,
        "client_certificates": listener.client_certificates,
        "client_chain": settings.needs_chain(name),
        "tls_min": listener.tls_min,
    }
