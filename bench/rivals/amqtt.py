"""aMQTT: a broker in Python on asyncio."""

import json
from typing import Any, ClassVar

from argon2 import PasswordHasher

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_pypi


class Amqtt(Rival):
    """asyncio, Python."""

    name = "amqtt"
    title = "aMQTT"
    source = "PyPI"
    version = "0.12.1"
    mqtt = frozenset({"3.1.1"})
    variants: ClassVar = frozenset(Variant) - {Variant.DURABLE}
    lacks: ClassVar = {Variant.DURABLE: "its persistence plugin is not set up here"}

    def obtain(self) -> None:
        from_pypi(f"amqtt=={self.version}", self.place)

    def launch(self, setting: Setting) -> Launch:
        listener: dict[str, Any] = {"type": "tcp", "bind": f"127.0.0.1:{setting.port}"}
        plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        if setting.guarded:
            hashed = PasswordHasher().hash(setting.password)
            passwords = setting.write("passwords", f"{setting.user}:{hashed}\n")
            plugins = {
                "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(passwords)},
                "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {
                    "publish_acl": {setting.user: ["#"]},
                    "acl": {setting.user: ["#"]},
                },
            }
        if setting.encrypted:
            files = {"certfile": str(setting.certificates.chain), "keyfile": str(setting.certificates.key)}
            listener |= {"ssl": True, **files}
        file = setting.write("amqtt.yaml", json.dumps({"listeners": {"default": listener}, "plugins": plugins}))
        return Launch((str(self.place / "venv/bin/amqtt"), "-c", str(file)))
