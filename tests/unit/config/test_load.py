"""Settings: unknown is an error, danger needs a reason, and every error is one line with place and cure."""

from pathlib import Path

import pytest

from bartizan.config.engine import engine_config
from bartizan.config.layout import DataDirectory
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "bartizan.toml"
    file.write_text(text)
    return file


def refused(tmp_path: Path, text: str, *overrides: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(tmp_path, text), overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return caught.value


def test_without_configuration_only_tls_listens():
    settings = load_settings()
    assert {name: (one.bind, one.protocol, one.tls) for name, one in settings.listeners.items()} == {
        "mqtts": ("[::]:8883", "mqtt", True),
        "wss": ("[::]:8443", "websocket", True),
    }
    assert settings.http.bind is None
    assert settings.store.durability == "fsync"


def test_a_file_that_names_listeners_names_all_of_them(tmp_path):
    settings = load_settings(write(tmp_path, '[listeners.lab]\nbind = "127.0.0.1:8883"\n'))
    assert list(settings.listeners) == ["lab"]


def test_a_file_without_listeners_has_the_default_ones(tmp_path):
    assert set(load_settings(write(tmp_path, '[log]\nlevel = "debug"\n')).listeners) == {"mqtts", "wss"}


def test_set_lies_over_the_file_and_over_the_defaults(tmp_path):
    file = write(tmp_path, '[listeners.mqtt]\nbind = "127.0.0.1:1"\n')
    settings = load_settings(
        file, [("listeners.mqtt.bind=127.0.0.1:21883"), "limits.inflight_max=7", "log.format='json'"]
    )
    assert settings.listeners["mqtt"].bind == "127.0.0.1:21883"
    assert settings.limits.inflight_max == 7
    assert settings.log.format == "json"
    assert load_settings(None, ["listeners.mqtts.bind=127.0.0.1:9"]).listeners["mqtts"].bind == "127.0.0.1:9"


@pytest.mark.parametrize("override", ["nonsense", "=1", "log..level=x", "log=1", "log.level.deep=1"])
def test_a_malformed_set_is_refused(override):
    with pytest.raises(ConfigurationError, match="--set"):
        load_settings(None, [override])


@pytest.mark.parametrize(
    ("text", "line", "cure"),
    [
        ("[limits]\n\ninflight_mx = 3\n", 3, "did you mean 'inflight_max'?"),
        ('[listener.mqtts]\nbind = "[::]:1"\n', 1, "did you mean 'listeners'?"),
        ('[listeners.a]\nbind = "[::]:1"\ndanger_plaintxt = "x"\n', 3, "did you mean 'danger_plaintext'?"),
        (
            ('[listeners.a]\nbind = "[::]:1"\n[listeners.a.limits]\npacket_byte_max = 1\n'),
            4,
            "did you mean 'packet_bytes_max'?",
        ),
        ('[listeners.a]\nbind = "[::]:1"\ntls = false\n', 3, "danger_plaintext"),
        (
            ('[listeners.a]\nbind = "[::]:1"\n[listeners.a.limits]\nretained_messages_max = 1\n'),
            4,
            "set it in [limits]",
        ),
    ],
)
def test_an_unknown_key_is_told_with_its_line_and_what_was_probably_meant(tmp_path, text, line, cure):
    error = refused(tmp_path, text)
    assert "unknown key" in error.what
    assert f"bartizan.toml:{line}," in error.where
    assert cure in error.fix


@pytest.mark.parametrize("reason", ["true", '""', '"  "', "1"])
def test_a_danger_needs_a_reason_in_words(tmp_path, reason):
    error = refused(tmp_path, f'[listeners.a]\nbind = "127.0.0.1:1"\ndanger_plaintext = {reason}\n')
    assert "bartizan.toml:3, listeners.a.danger_plaintext" in error.where
    assert "reason in words" in error.fix


@pytest.mark.parametrize(
    "setting",
    [
        'certificate_file = "a"',
        'key_file = "a"',
        'client_ca_file = "a"',
        "crl_files = []",
        'client_certificates = "optional"',
        'tls_min = "1.3"',
    ],
)
@pytest.mark.parametrize("plain", [('bind = "127.0.0.1:1"\ndanger_plaintext = "a lab"'), 'bind = "unix:/run/x.sock"'])
def test_a_tls_setting_without_tls_is_an_error_not_ignored(tmp_path, setting, plain):
    assert "TLS" in str(refused(tmp_path, f"[listeners.a]\n{plain}\n{setting}\n"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[listeners.a]\nbind = "8883"\n', "address and a port"),
        ('[listeners.a]\nbind = "example.com:8883"\n', "address and a port"),
        ('[listeners.a]\nbind = "[::]:70000"\n', "65535"),
        ('[listeners.a]\nbind = "unix:relative"\n', "absolute path"),
        ('[listeners.a]\nprotocol = "mqtt"\n', "'bind' is missing"),
        ('[listeners.a]\nbind = "[::]:1"\nprotocol = "quic"\n', "'mqtt' or 'websocket'"),
        ('[listeners.a]\nbind = "[::]:1"\ncertificate_file = "x"\n', "belong together"),
        ('[listeners.a]\nbind = "[::]:1"\norigins = ["https://x"]\n', "websocket"),
        ('[listeners.a]\nbind = "[::]:1"\nloopback_only = true\n', "other machines"),
        ('[listeners.a]\nbind = "[::]:1"\nproxy_protocol_from = ["10.0.0.1/8"]\n', "host bits"),
        ('[listeners.a]\nbind = "[::]:1"\n[listeners.b]\nbind = "[::]:1"\n', "both bind"),
        ('[listeners.A]\nbind = "[::]:1"\n', "lower-case letter"),
        ("[listeners]\n", "at least 1"),
        ('[http]\nbind = "0.0.0.0:9"\n', "danger_public_http"),
        ("[store]\ninterval_ms = 5\n", "durability"),
        ('[store]\nkind = "memory"\n[listeners.a]\nbind = "[::]:1"\ndurability = "os"\n', "listeners.a"),
        ("[limits]\nkeep_alive_min_s = 10\nkeep_alive_max_s = 5\n", "above"),
        ('[listeners.a]\nbind = "[::]:1"\n[listeners.a.limits]\nkeep_alive_min_s = 5000\n', "above"),
        ('[limits]\ninflight_max = "64"\n', "integer"),
        ("[limits]\ninflight_max = true\n", "integer"),
        ("[limits]\nconnect_timeout_s = inf\n", "finite"),
        ("x = [\n", "not valid TOML"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, text, says):
    assert says in str(refused(tmp_path, text))


def test_a_listener_may_promise_more_or_less_than_the_store(tmp_path):
    text = (
        '[store]\ndurability = "os"\ninterval_ms = 5\n[listeners.a]\nbind = "[::]:1"\ndurability = "fsync"\n'
        '[listeners.b]\nbind = "[::]:2"\n[listeners.c]\nbind = "[::]:3"\ndurability = "interval"\n'
    )
    settings = load_settings(write(tmp_path, text))
    plain = {
        name: listener.model_copy(update={"danger_plaintext": "lab"}) for name, listener in settings.listeners.items()
    }
    told = engine_config(settings.model_copy(update={"listeners": plain}), DataDirectory(tmp_path))
    assert [listener["durability"] for listener in told["listeners"]] == ["fsync", "os", "interval"]


@pytest.mark.parametrize(("mode", "control"), [("off", False), ("strict", True), ("compatible", True)])
def test_the_engine_takes_commands_only_where_somebody_carries_them_out(tmp_path, mode, control):
    settings = load_settings(write(tmp_path, f'[dynsec]\nmode = "{mode}"\n[listeners.a]\nbind = "[::]:1"\n'))
    plain = {"a": settings.listeners["a"].model_copy(update={"danger_plaintext": "lab"})}
    told = engine_config(settings.model_copy(update={"listeners": plain}), DataDirectory(tmp_path))
    assert told["control"] is control
    assert load_settings().dynsec.mode == "off"


def test_files_are_relative_to_the_configuration_not_to_where_the_command_runs(tmp_path):
    text = (
        '[policy]\nfile = "policy.toml"\n[listeners.a]\nbind = "[::]:1"\ncertificate_file = "c"\nkey_file = '
        '"/k"\ncrl_files = ["r"]\n'
    )
    settings = load_settings(write(tmp_path, text))
    assert settings.policy.file == tmp_path / "policy.toml"
    listener = settings.listeners["a"]
    assert (listener.certificate_file, listener.key_file, listener.crl_files) == (
        tmp_path / "c",
        Path("/k"),
        (tmp_path / "r",),
    )


def test_a_path_given_by_set_is_relative_to_where_the_command_runs(tmp_path):
    assert load_settings(write(tmp_path, ""), ["policy.file=mine.toml"]).policy.file == Path("mine.toml")


def test_a_missing_file_and_a_file_that_is_not_text_are_told(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_settings(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"a = 1\n\xff")
    with pytest.raises(ConfigurationError, match=r"binary\.toml:2.*UTF-8"):
        load_settings(tmp_path / "binary.toml")


def test_an_unreadable_file_is_told(tmp_path, monkeypatch):
    file = write(tmp_path, "")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigurationError, match="may not be read"):
        load_settings(file)


def test_a_listener_overrides_single_limits(tmp_path):
    text = (
        '[limits]\ninflight_max = 5\n[listeners.a]\nbind = "[::]:1"\n[listeners.a.limits]\npacket_bytes_max = 20000\n'
    )
    limits = load_settings(write(tmp_path, text)).limits_of("a")
    assert (limits.inflight_max, limits.packet_bytes_max) == (5, 20000)


def test_an_error_of_set_names_the_set(tmp_path):
    error = refused(tmp_path, "[limits]\ninflight_max = 5\n", "limits.inflight_max=0")
    assert error.where == "--set limits.inflight_max=0"


def test_localhost_is_loopback_and_the_old_version_needs_its_name():
    settings = load_settings(None, ["listeners.mqtts.bind=localhost:1"])
    assert settings.listeners["mqtts"].bind == "127.0.0.1:1"
    assert "3.1" not in settings.listeners["mqtts"].mqtt_versions
