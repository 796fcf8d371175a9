"""Eclipse Mosquitto as Debian packages it: the broker that the demands are measured against."""

import getpass
from typing import ClassVar

from bench.rivals.base import Launch, Rival, Setting, Variant
from bench.rivals.registries import command, from_debian, program

OPEN = """\
user {user}
listener {port} 127.0.0.1
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
sys_interval 0
log_dest none
"""
DURABLE = """\
persistence true
persistence_location {directory}/
autosave_on_changes true
autosave_interval 1
"""
SECURE = """\
certfile {certificates.chain}
keyfile {certificates.key}
tls_version tlsv1.3
"""
GUARDED = """\
allow_anonymous false
password_file {directory}/passwords
acl_file {directory}/rules
"""


class Mosquitto(Rival):
    """One thread, C."""

    name = "mosquitto"
    title = "Mosquitto"
    source = "Debian"
    version = "2.0.11"
    variants: ClassVar = frozenset(Variant)
    remark = "durable: saves its whole state after changes, with fsync; its acknowledgements do not wait for it"

    def obtain(self) -> None:
        from_debian("mosquitto", "mosquitto", self.place)

    def launch(self, setting: Setting) -> Launch:
        parts = [OPEN]
        if setting.guarded:
            setting.write("rules", f"user {setting.user}\ntopic readwrite #\n")
            maker = program("mosquitto_passwd", missing="it comes with mosquitto")
            argv = [maker, "-b", "-c", str(setting.directory / "passwords"), setting.user, setting.password]
            command(argv, cwd=setting.directory, log=setting.directory / "passwd.log")
            parts.append(GUARDED)
        else:
            parts.append("allow_anonymous true\n")
        if setting.encrypted:
            parts.append(SECURE)
        parts.append(DURABLE if setting.variant is Variant.DURABLE else "persistence false\n")
        text = "".join(parts).format(
            user=getpass.getuser(),
            port=setting.port,
            directory=setting.directory,
            certificates=setting.certificates,
        )
        server = program("mosquitto", missing="apt-get install mosquitto")
        return Launch((server, "-c", str(setting.write("mosquitto.conf", text))))
