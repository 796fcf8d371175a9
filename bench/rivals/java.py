"""The two brokers on the JVM that can be embedded, each with a main of ours."""

import hashlib
from pathlib import Path
from typing import ClassVar

from bench.certificates import STORE_PASSWORD
from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_maven, program

SOURCES = Path(__file__).parent / "sources"
DEEPEST = 8
HEAP = ("-Xms512m", "-Xmx4g")
HIVEMQ = """\
<hivemq>
  <listeners>{listener}</listeners>
  <mqtt>
    <queued-messages><max-queue-size>1000000</max-queue-size></queued-messages>
    <receive-maximum><server-receive-maximum>65535</server-receive-maximum></receive-maximum>
  </mqtt>
  <anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>
  <persistence><mode>{mode}</mode></persistence>
</hivemq>
"""
HIVEMQ_TCP = "<tcp-listener><port>{port}</port><bind-address>127.0.0.1</bind-address></tcp-listener>"
HIVEMQ_TLS = """<tls-tcp-listener>
      <port>{port}</port><bind-address>127.0.0.1</bind-address>
      <tls>
        <keystore><path>{store}</path><password>{secret}</password>
          <private-key-password>{secret}</private-key-password></keystore>
        <protocols><protocol>TLSv1.3</protocol></protocols>
        <client-authentication-mode>NONE</client-authentication-mode>
      </tls>
    </tls-tcp-listener>"""


def java(place: Path) -> tuple[str, ...]:
    """The command that runs `Main`."""
    machine = program("java", missing="install a JDK, 17 or newer")
    built = place / "built"
    return (machine, *HEAP, "-cp", f"{built / 'classes'}:{built / 'jars'}/*", "Main")


class HiveMq(Rival):
    """Netty and single-writer threads, Java."""

    name = "hivemq"
    title = "HiveMQ CE"
    source = "Maven Central"
    version = "2025.5"
    variants: ClassVar = frozenset(Variant)
    warm_up_s = 4.0
    remark = "durable: its file persistence, which does not promise fsync per message"

    def obtain(self) -> None:
        from_maven(SOURCES / "hivemq", self.place)

    def launch(self, setting: Setting) -> Launch:
        listener = (HIVEMQ_TLS if setting.encrypted else HIVEMQ_TCP).format(
            port=setting.port, store=setting.certificates.store, secret=STORE_PASSWORD
        )
        for name in ("conf", "data", "extensions"):
            (setting.directory / name).mkdir()
        mode = "file" if setting.variant is Variant.DURABLE else "in-memory"
        setting.write("conf/config.xml", HIVEMQ.format(listener=listener, mode=mode))
        login = (setting.user, setting.password) if setting.guarded else ()
        return Launch((*java(self.place), str(setting.directory), *login))


class Moquette(Rival):
    """Netty, Java."""

    name = "moquette"
    title = "Moquette"
    source = "Maven Central"
    version = "0.17"
    mqtt = frozenset({"3.1.1"})
    variants: ClassVar = frozenset({Variant.PLAIN, Variant.GUARDED, Variant.TLS, Variant.SECURE})
    lacks: ClassVar = {Variant.DURABLE: "its store is written at intervals only"}
    warm_up_s = 4.0

    def obtain(self) -> None:
        from_maven(SOURCES / "moquette", self.place)

    def launch(self, setting: Setting) -> Launch:
        secure = setting.encrypted
        properties = {
            "host": "127.0.0.1",
            "port": "disabled" if secure else str(setting.port),
            "websocket_port": "disabled",
            "telemetry_enabled": "false",
            "persistence_enabled": "false",
            "data_path": str(setting.directory),
            "netty.mqtt.message_size": "8388608",
            "session_queue_size": "1000000",
            "buffer_flush_millis": "0",
            "allow_anonymous": str(not setting.guarded).lower(),
        }
        if setting.guarded:
            digest = hashlib.sha256(setting.password.encode()).hexdigest()
            properties["password_file"] = str(setting.write("passwords", f"{setting.user}:{digest}\n"))
            # To its parser `#` begins a comment, so rules name levels one by one.
            depths = "".join(f"topic readwrite {'/'.join('+' * depth)}\n" for depth in range(1, DEEPEST + 1))
            properties["acl_file"] = str(setting.write("rules", f"user {setting.user}\n{depths}"))
        if secure:
            properties |= {
                "ssl_port": str(setting.port),
                "jks_path": str(setting.certificates.store),
                "key_store_type": "pkcs12",
                "key_store_password": STORE_PASSWORD,
                "key_manager_password": STORE_PASSWORD,
            }
        text = "".join(f"{key}={value}\n" for key, value in properties.items())
        return Launch((*java(self.place), str(setting.write("moquette.conf", text))))
