"""mosquitto.conf -> settings that are valid, and every difference."""

from pathlib import Path
from typing import Any

import pytest

from bartizan.config.imports.directives import read_directives
from bartizan.config.imports.mosquitto import import_configuration
from bartizan.config.schema import Settings
from bartizan.errors import ConfigurationError

BASE = Path("/etc/mosquitto")
TLS = "certfile server.crt\nkeyfile /keys/server.key\n"


def imported(text: str):
    return import_configuration(read_directives(text.encode(), "mosquitto.conf"), "mosquitto.conf", BASE)


def settings(text: str) -> Settings:
    return Settings.model_validate(imported(text).settings)


def told(broker, name: str) -> list[tuple[str, str]]:
    return [(each.weight.value, each.place) for each in broker.differences if each.name == name]


def only(text: str) -> tuple[str, Any]:
    ((name, listener),) = settings(text).listeners.items()
    return name, listener


@pytest.mark.parametrize(
    ("text", "name", "bind"),
    [
        ("listener 1884", "mqtt-1884", "[::]:1884"),
        ("listener 1884 10.0.0.1", "mqtt-1884", "10.0.0.1:1884"),
        ("listener 1884 ::1", "mqtt-1884", "[::1]:1884"),
        ("listener 1884 localhost", "mqtt-1884", "127.0.0.1:1884"),
        ("listener 0 /run/mqtt.sock", "mqtt-unix", "unix:/run/mqtt.sock"),
        ("port 1885\nbind_address 127.0.0.1", "mqtt-1883", "127.0.0.1:1885"),
        (f"listener 8883\n{TLS}", "mqtts-8883", "[::]:8883"),
        (f"listener 443\nprotocol websockets\n{TLS}", "wss-443", "[::]:443"),
        ("", "mqtt-1883", "127.0.0.1:1883"),
    ],
)
def test_a_listener_listens_where_it_did(text, name, bind):
    found, listener = only(text)
    assert (found, listener.bind) == (name, bind)


def test_lines_belong_to_the_listener_before_them():
    read = settings(f"listener 1\nmax_connections 5\nlistener 2\n{TLS}max_connections -1\n")
    limits = {name: read.limits_of(name).connections_max for name in read.listeners}
    assert limits == {"mqtt-1": 5, "mqtts-2": 10_000}


def test_the_files_of_tls_are_found_from_the_directory_of_the_configuration():
    _, listener = only(
        f"listener 8883\n{TLS}cafile ca.crt\ncrlfile ca.crl\nrequire_certificate true\ntls_version tlsv1.3"
    )
    assert (listener.certificate_file, listener.key_file) == (BASE / "server.crt", Path("/keys/server.key"))
    assert (listener.client_ca_file, listener.crl_files) == (BASE / "ca.crt", (BASE / "ca.crl",))
    assert (listener.client_certificates, listener.tls_min) == ("required", "1.3")
    assert listener.authentication == ("password",), "there a certificate only opens the door"


def test_a_certificate_that_is_the_user_name_is_what_proves_it():
    text = f"allow_anonymous true\n\nlistener 1\n{TLS}cafile ca.crt\nrequire_certificate true\nuse_identity_as_username true"
    _, listener = only(text)
    assert (listener.authentication, listener.danger_anonymous) == (("certificate",), None)
    broker = imported(text)
    assert told(broker, "certificates") == [("changed", "mosquitto.conf:8")]
    assert [each.name for each in broker.differences if each.weight.value == "lost"] == []


def test_no_tls_and_no_proof_are_carried_over_as_the_dangers_that_they_are():
    broker = imported("listener 1883\nallow_anonymous true\n")
    (listener,) = Settings.model_validate(broker.settings).listeners.values()
    assert listener.danger_plaintext == "imported from mosquitto.conf line 1: there is no certfile"
    assert listener.danger_anonymous == "imported from mosquitto.conf line 1: allow_anonymous is true"
    assert told(broker, "plaintext") == [("changed", "mosquitto.conf:1")]
    assert told(broker, "anonymous") == [("changed", "mosquitto.conf:1")]
    assert told(broker, "unverified-names") == [("lost", "mosquitto.conf")]


@pytest.mark.parametrize(
    ("text", "anonymous"),
    [("", True), ("listener 1883", False), ("port 1883", False), ("allow_anonymous false", False),
     ("listener 1\nlistener_allow_anonymous true", True)],
)  # fmt: skip
def test_who_presents_nothing_is_let_in_as_before(text, anonymous):
    broker = imported(text)
    assert broker.anonymous == anonymous
    assert any(listener.danger_anonymous for listener in settings(text).listeners.values()) == anonymous


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("max_packet_size 5000", {"packet_bytes_max": 5_000, "property_bytes_max": 5_000}),
        ("max_packet_size 2000000", {"packet_bytes_max": 2_000_000}),
        ("max_packet_size 0", {"packet_bytes_max": 1_048_576}),
        ("message_size_limit 1000", {"packet_bytes_max": 66_536}),
        ("max_inflight_messages 10", {"inflight_max": 10, "receive_max": 10}),
        ("max_inflight_messages 0", {"inflight_max": 65_535}),
        ("max_queued_messages 5", {"queued_messages_max": 5}),
        ("max_queued_messages 0", {"queued_messages_max": 2**53}),
        ("max_queued_bytes 5", {"queued_bytes_max": 5}),
        ("max_keepalive 60", {"keep_alive_max_s": 60}),
        ("persistent_client_expiration 2w", {"session_expiry_max_s": 1_209_600}),
        ("persistent_client_expiration 900y", {"session_expiry_max_s": 4_294_967_295}),
    ],
)
def test_a_bound_is_kept(line, expected):
    limits = settings(line).limits
    assert {name: getattr(limits, name) for name in expected} == expected


def test_versions_origins_aliases_and_the_interval_of_sys_are_kept():
    text = "sys_interval 30\nlistener 1\nprotocol websockets\nwebsockets_origin https://a\naccept_protocol_versions 3, 5\nmax_topic_alias 5"
    read = settings(text)
    listener = read.listeners["ws-1"]
    assert (listener.origins, listener.mqtt_versions, read.limits_of("ws-1").topic_alias_max) == (
        ("https://a",),
        ("3.1", "5.0"),
        5,
    )
    assert read.broker.sys_interval_s == 30.0


def test_bounds_on_what_may_be_published_are_handed_on():
    broker = imported("retain_available false\nlistener 1\nmax_qos 1\n")
    assert (broker.qos_max, broker.retain) == (1, False)
    broker = imported("listener 1\nmax_qos 1\nlistener 2\n")
    assert (broker.qos_max, told(broker, "max_qos")) == (2, [("lost", "mosquitto.conf:2")])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("connection a\naddress x:1\ntopic # in\nremote_password x", "bridge"), ("mount_point a/", "mount_point"),
        ("psk_file x", "psk_file"), ("listener 1\nuse_identity_as_username true", "use_identity_as_username"),
        ("plugin /x.so\nplugin_opt_a b", "plugin"), ("auth_plugin /x.so\nauth_opt_a b", "plugin"),
        ("plugin /mosquitto_dynamic_security.so", "plugin"), ("listener 1\nprotocol http_api\nlistener 2", "protocol"),
        ("clientid_prefixes a", "clientid_prefixes"), ("allow_zero_length_clientid false", "allow_zero_length_clientid"),
        ("listener 1 host.example", "bind-address"), ("capath /x", "capath"),
        (f"listener 1\n{TLS}require_certificate true\nallow_anonymous true", "certificate-anonymous"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_over_is_a_loss_by_its_name(text, name):
    broker = imported(text)
    assert [weight for weight, _ in told(broker, name)] == ["lost"]
    Settings.model_validate(broker.settings)


@pytest.mark.parametrize("text", ["use_identity_as_username false", "allow_zero_length_clientid true"])
def test_what_is_so_here_anyway_is_no_loss(text):
    names = {
        each.name for each in imported(f"allow_anonymous false\n{text}").differences if each.weight.value == "lost"
    }
    assert names == set()


def test_the_files_beside_it_are_told():
    broker = imported("acl_file acl\npassword_file /p\nlistener 1\nlistener 2\n")
    assert broker.acl_file is not None
    assert broker.password_file is not None
    assert (broker.acl_file.value, broker.password_file.value) == ("acl", "/p")
    broker = imported("plugin /lib/mosquitto_dynamic_security.so\nplugin_opt_config_file d.json\n")
    assert broker.dynamic_security is not None
    assert (broker.dynamic_security.value, told(broker, "plugin")) == ("d.json", [])


def test_listeners_with_their_own_files_cannot_be_one_policy():
    text = "per_listener_settings true\nlistener 1\nacl_file a\nlistener 2\nacl_file b\n"
    with pytest.raises(ConfigurationError, match=r"mosquitto\.conf:3"):
        imported(text)


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense 1", "listener x", "listener 0", "allow_anonymous maybe", "max_packet_size big", "certfile a", "max_qos x",
        "accept_protocol_versions 6", "acl_file", "topic # out", "persistent_client_expiration 5", "\xff",
    ],
)  # fmt: skip
def test_a_line_that_means_nothing_is_refused_with_its_place(bad):
    text = f"# first\nlistener 1\n{bad}\n" if not bad.startswith("listener") else f"#\n#\n{bad}\n"
    with pytest.raises(ConfigurationError, match=r"mosquitto\.conf:3"):
        import_configuration(read_directives(text.encode("latin-1"), "mosquitto.conf"), "mosquitto.conf", BASE)


def test_every_key_of_the_manual_has_a_fate():
    text = "\n".join(["persistence true", "log_dest stdout", "# comment", "", "ciphers x", "set_tcp_nodelay true\r"])
    broker = imported(text)
    assert told(broker, "ciphers") == [("changed", "mosquitto.conf:5")]
    assert [place for _, place in told(broker, "not-about-access")] == [
        "mosquitto.conf:1",
        "mosquitto.conf:2",
        "mosquitto.conf:6",
    ]
