"""RMQTT: a broker to embed, in Rust on tokio, with a main of ours."""

from pathlib import Path
from typing import ClassVar

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_cargo

SOURCE = Path(__file__).parent / "sources" / "rmqtt"
NO_LOGIN = "passwords and access rules are plugins of its server program, not of the library used here"


class Rmqtt(Rival):
    """tokio, Rust."""

    name = "rmqtt"
    title = "RMQTT"
    source = "crates.io"
    version = "0.24.0"
    variants: ClassVar = frozenset({Variant.PLAIN})
    lacks: ClassVar = {
        Variant.GUARDED: NO_LOGIN,
        Variant.SECURE: NO_LOGIN,
        Variant.TLS: "measured without TLS only",
        Variant.DURABLE: "its stores are plugins of its server program",
    }

    def obtain(self) -> None:
        from_cargo(SOURCE, self.place)

    def launch(self, setting: Setting) -> Launch:
        return Launch((str(self.place / "target/release/server"), f"127.0.0.1:{setting.port}"))
