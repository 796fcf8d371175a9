"""rumqttd, as a program of its own and as the Python package iotcore ships it."""

from typing import ClassVar

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_crates, from_pypi

ROUTER = """\
id = 0
[router]
id = 0
max_connections = 100000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
"""
LISTENER = """\
[v{major}.1]
name = "mqtt"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0
[v{major}.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 65535
dynamic_filters = true
"""
LOGIN = """\
[v{major}.1.connections.auth]
{user} = "{password}"
"""
SECURE = """\
[v{major}.1.tls]
certpath = "{certificates.chain}"
keypath = "{certificates.key}"
"""
EMBEDDED = "import signal, sys; from iotcore import Broker; Broker(config_path=sys.argv[1]).start(); signal.pause()"
"""As its users embed it: in a child process, quiet. Its command line hands a record of every packet to Python's logging."""
NO_RULES = "password and TLS only: it has no access rules"


def configuration(setting: Setting) -> str:
    """One listener, for one version of MQTT."""
    parts = [ROUTER, LISTENER]
    if setting.guarded:
        parts.append(LOGIN)
    if setting.encrypted:
        parts.append(SECURE)
    return "".join(parts).format(
        major=5 if setting.mqtt == "5" else 4,
        port=setting.port,
        user=setting.user,
        password=setting.password,
        certificates=setting.certificates,
    )


class Rumqttd(Rival):
    """tokio and one router thread, Rust."""

    name = "rumqttd"
    title = "rumqttd"
    source = "crates.io"
    version = "0.20.0"
    lacks: ClassVar = {Variant.GUARDED: "has no access rules", Variant.DURABLE: "keeps nothing on disk"}
    remark = NO_RULES

    def obtain(self) -> None:
        from_crates("rumqttd", self.version, self.place)

    def launch(self, setting: Setting) -> Launch:
        file = setting.write("rumqttd.toml", configuration(setting))
        return Launch((str(self.place / "bin/rumqttd"), "--quiet", "--config", str(file)))


class Iotcore(Rival):
    """rumqttd in a Python wheel."""

    name = "iotcore"
    title = "iotcore (rumqttd)"
    source = "PyPI"
    version = "0.4.0"
    lacks: ClassVar = {Variant.GUARDED: "has no access rules", Variant.DURABLE: "keeps nothing on disk"}
    remark = NO_RULES

    def obtain(self) -> None:
        from_pypi(f"iotcore=={self.version}", self.place)

    def launch(self, setting: Setting) -> Launch:
        file = setting.write("rumqttd.toml", configuration(setting))
        return Launch((str(self.place / "venv/bin/python"), "-c", EMBEDDED, str(file)))
