"""Mochi MQTT: a broker to embed, in Go, with a main of ours."""

import json
from pathlib import Path
from typing import ClassVar

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_go

SOURCE = Path(__file__).parent / "sources" / "mochi"


class Mochi(Rival):
    """Goroutines, Go."""

    name = "mochi"
    title = "Mochi MQTT"
    source = "Go modules"
    version = "2.7.9"
    variants: ClassVar = frozenset({Variant.PLAIN, Variant.GUARDED, Variant.TLS, Variant.SECURE})
    lacks: ClassVar = {Variant.DURABLE: "its storage hooks are not set up here"}

    def obtain(self) -> None:
        from_go(SOURCE, self.place)

    def launch(self, setting: Setting) -> Launch:
        told = {
            "address": f"127.0.0.1:{setting.port}",
            "user": setting.user if setting.guarded else "",
            "password": setting.password if setting.guarded else "",
            "certificate": str(setting.certificates.chain) if setting.encrypted else "",
            "key": str(setting.certificates.key),
        }
        file = setting.write("mochi.json", json.dumps(told))
        return Launch((str(self.place / "built/server"), str(file)))
