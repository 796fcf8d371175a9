"""RabbitMQ with its MQTT plugin, as Debian packages it."""

from pathlib import Path
from typing import ClassVar

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import from_debian, program

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Started directly: the one in /usr/sbin insists on a system user of its own."""
OPEN = """\
listeners.tcp = none
mqtt.prefetch = 65535
mqtt.tcp_listen_options.nodelay = true
mqtt.tcp_listen_options.backlog = 4096
log.console = false
log.file = false
"""
PLAIN = """\
mqtt.listeners.tcp.1 = 127.0.0.1:{port}
"""
GUARDED = """\
mqtt.allow_anonymous = false
default_user = {user}
default_pass = {password}
"""
ENCRYPTED = """\
mqtt.listeners.tcp = none
mqtt.listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.certfile = {certificates.chain}
ssl_options.keyfile = {certificates.key}
ssl_options.versions.1 = tlsv1.3
"""


class RabbitMq(Rival):
    """Erlang."""

    name = "rabbitmq"
    title = "RabbitMQ"
    source = "Debian"
    version = "3.10.8"
    mqtt = frozenset({"3.1.1"})
    variants: ClassVar = frozenset(Variant)
    warm_up_s = 2.0
    remark = "prefetch 65535; durable: its durable queues, with publisher confirms"

    def obtain(self) -> None:
        from_debian("rabbitmq-server", "rabbitmq-server", self.place)

    def launch(self, setting: Setting) -> Launch:
        text = OPEN + (ENCRYPTED if setting.encrypted else PLAIN)
        text += GUARDED if setting.guarded else "mqtt.allow_anonymous = true\n"
        text = text.format(
            port=setting.port, user=setting.user, password=setting.password, certificates=setting.certificates
        )
        home = setting.directory
        epmd_port = str(setting.spare_port)
        environment = {
            "HOME": str(home),
            "ERL_EPMD_PORT": epmd_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONFIG_FILE": str(setting.write("rabbitmq.conf", text)),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(setting.write("enabled_plugins", "[rabbitmq_mqtt].\n")),
            "RABBITMQ_CONF_ENV_FILE": str(setting.write("rabbitmq-env.conf", "")),
            "RABBITMQ_NODENAME": f"bench-{setting.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            # One scheduler on the one processor it gets, and none that spins while it waits.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }
        epmd = program("epmd", missing="it comes with Erlang")
        # The name server of Erlang would go into the background and stay; started here first, it does neither.
        script = f"{epmd} -port {epmd_port} -address 127.0.0.1 & exec {SERVER}"
        return Launch(("/bin/sh", "-c", script), environment)
