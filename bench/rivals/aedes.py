"""Aedes: a broker for Node.js."""

import json
from pathlib import Path
from typing import ClassVar

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_npm, program

SOURCE = Path(__file__).parent / "sources" / "aedes"


class Aedes(Rival):
    """One event loop, JavaScript."""

    name = "aedes"
    title = "Aedes"
    source = "npm"
    version = "1.2.0"
    mqtt = frozenset({"3.1.1"})
    variants: ClassVar = frozenset(Variant) - {Variant.DURABLE}
    lacks: ClassVar = {Variant.DURABLE: "its stores are packages of their own, not set up here"}
    warm_up_s = 2.0

    def obtain(self) -> None:
        from_npm(SOURCE, self.place)

    def launch(self, setting: Setting) -> Launch:
        told = {
            "port": setting.port,
            "user": setting.user if setting.guarded else None,
            "password": setting.password if setting.guarded else None,
            "key": str(setting.certificates.key) if setting.encrypted else None,
            "cert": str(setting.certificates.chain),
        }
        file = setting.write("aedes.json", json.dumps(told))
        node = program("node", missing="install Node.js 20 or newer")
        return Launch((node, str(self.place / "built/server.mjs"), str(file)))
