"""Settings -> the JSON the engine starts from: the same key names, paths replaced by what they hold."""

from typing import Any

from bartizan.config.layout import DataDirectory
from bartizan.config.listener import Listener
from bartizan.config.load import read_file
from bartizan.config.schema import Settings


def engine_config(settings: Settings, data: DataDirectory) -> dict[str, Any]:
    """The engine's configuration as plain JSON values. Holds private keys: never log it."""
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
                "tls": tls_material(listener, data) if listener.tls else None,
                "limits": settings.limits_of(name).model_dump(mode="json"),
            }
            for name, listener in sorted(settings.listeners.items())
        ],
        "limits": settings.limits.model_dump(mode="json"),
        "store": {**settings.store.model_dump(mode="json"), "path": str(data.store)},
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


def tls_material(listener: Listener, data: DataDirectory) -> dict[str, Any]:
    """Certificates, key and CRLs of a TLS listener as PEM texts, read now: call again to reload."""
    own_ca = listener.client_ca_file is None
    crls = listener.crl_files if listener.crl_files is not None else ((data.crl,) if own_ca else ())
    if listener.client_certificates == "off":
        roots, crls = "", ()
    else:
        roots = read_file(listener.client_ca_file or data.ca_certificate, "the client CA file").decode(errors="replace")
    return {
        "chain_pem": read_file(listener.certificate_file or data.server_certificate, "the certificate file").decode(
            errors="replace"
        ),
        "key_pem": read_file(listener.key_file or data.server_key, "the key file").decode(errors="replace"),
        "client_roots_pem": roots,
        "crls_pem": [read_file(crl, "the CRL file").decode(errors="replace") for crl in crls],
        "client_certificates": listener.client_certificates,
        "tls_min": listener.tls_min,
    }
