"""`bartizan up` as its user meets it: first run, second run, signals, and starts that are refused in one line."""

import json
import os
import shlex
import signal
import socket
import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.pki.ca import Authority
from bartizan.pki.profiles import build_leaf, certificate_pem, key_pem, new_key, server_name
from tests.integration.conftest import API, BINDS, run


def pasted(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Runs what `up` printed, in a shell, as a person would."""
    return subprocess.run(
        ["sh", "-c", " ".join([command, *map(shlex.quote, more)])],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refused start, which ends with exit code 2."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_the_two_printed_commands_work_as_they_stand(up, mosquitto_pub, mosquitto_sub):
    summary = up().summary
    assert summary["first"]
    assert pasted(summary["publish"], "-r").returncode == 0
    read = pasted(summary["subscribe"], "-C", "1", "-W", "8")
    assert read.stdout == "data/chicago/hall-2/press-01/temperature 71.5\n"


def test_a_first_run_listens_with_tls_only_and_shows_the_secret_once(up):
    first = up()
    assert [place["tls"] for place in first.summary["places"]] == [True, True]
    secret = first.summary["administrator_secret"]
    assert secret
    assert first.stop() == 0
    again = up()
    assert not again.summary["first"]
    assert again.summary["administrator_secret"] is None
    assert again.summary["ca_fingerprint"] == first.summary["ca_fingerprint"]
    assert secret not in first.log_file.read_text() + again.log_file.read_text()


def test_the_data_directory_and_the_control_socket_are_the_owners_alone(up):
    data = up().data
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "control.sock").stat().st_mode) == 0o600


def test_a_second_broker_on_the_same_directory_is_refused(up):
    first = up()
    line = one_line(run("up", "--data", first.data, *BINDS))
    assert "already" in line
    assert str(first.process.pid) in line


def test_a_port_in_use_is_named_with_the_way_out_and_nothing_is_made_or_left_listening(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, other = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        bound = [
            *API,
            "--set",
            f"listeners.mqtts.bind=127.0.0.1:{other}",
            "--set",
            f"listeners.wss.bind=127.0.0.1:{port}",
        ]
        done = run("up", "--data", tmp_path / "data", *bound)
        line = one_line(done)
        assert f"127.0.0.1:{port}" in line
        assert "--set listeners.wss.bind=" in line
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", other), timeout=1)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("listeners.mqtts.colour=red", "unknown key 'colour'"),
        ("http.bind=0.0.0.0:9883", "danger_public_http"),
        ('listeners.mqtts.danger_plaintext="no reason to hide"', "certificate_file"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_made(tmp_path, setting, said):
    more = ["--set", "listeners.mqtts.certificate_file=x"] if "plaintext" in setting else []
    line = one_line(run("up", "--data", tmp_path / "data", *BINDS, "--set", setting, *more))
    assert said in line
    assert not (tmp_path / "data").exists()


def test_a_monitoring_port_in_use_stops_the_start_before_a_client_gets_in(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("up", "--data", tmp_path / "data", *BINDS, "--set", f"http.bind={address}")
    assert f"http.bind = {address}" in one_line(done)
    assert not (tmp_path / "data").exists()


def test_the_secret_is_shown_once_also_when_the_start_after_the_first_run_fails(tmp_path):
    broken = tmp_path / "policy.toml"
    broken.write_text("[roles.press\n")
    done = run("up", "--data", tmp_path / "data", *BINDS, "--set", f"policy.file={broken}")
    assert str(broken) in one_line(done)
    assert "shown only now" in done.stdout


def test_a_directory_that_cannot_be_made_is_refused():
    assert "/proc/nowhere" in one_line(run("up", "--data", "/proc/nowhere", *BINDS))


def test_an_expired_certificate_is_refused(up, tmp_path):
    first = up()
    first.stop()
    data = first.data
    authority = Authority.load(data / "pki" / "ca.crt", data / "pki" / "ca.key")
    key = new_key()
    expired = build_leaf(
        issuer=authority.certificate,
        issuer_key=authority.key,
        key=key.public_key(),
        common_name="localhost",
        names=[server_name("localhost")],
        server=True,
        at=datetime.now(UTC) - timedelta(days=10),
        lifetime=timedelta(days=9),
    )
    (tmp_path / "old.crt").write_bytes(certificate_pem(expired))
    (tmp_path / "old.key").write_bytes(key_pem(key))
    files = [f"listeners.mqtts.certificate_file={tmp_path}/old.crt", f"listeners.mqtts.key_file={tmp_path}/old.key"]
    words = [word for setting in files for word in ("--set", setting)]
    line = one_line(run("up", "--data", data, *BINDS, *words))
    assert "mqtts" in line
    assert "expired" in line


def test_a_bad_policy_is_refused_at_start_with_line_and_column(up):
    first = up()
    first.stop()
    (first.data / "policy.toml").write_text("[roles.press]\nbinds = 7\n")
    assert f"{first.data / 'policy.toml'}:2:" in one_line(run("up", "--data", first.data, *BINDS))


def test_sigterm_says_goodbye_and_exits_0(up):
    running = up()
    assert running.stop(signal.SIGTERM) == 0
    assert [event["event"] for event in running.log()][-2:] == ["draining", "stopped"]
    assert not (running.data / "control.sock").exists()


def test_sighup_applies_a_good_policy_and_keeps_the_old_one_for_a_bad_one(up, mosquitto_pub):
    running = up()
    policy = running.data / "policy.toml"
    publish = running.summary["publish"]
    good = policy.read_text()
    policy.write_text(good + "\n[topics.\n")
    running.process.send_signal(signal.SIGHUP)
    assert f"{policy}:" in running.wait_for("policy_refused")["reason"]
    assert pasted(publish).stderr == ""
    policy.write_text("[roles.press]\n[roles.dashboard]\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reloaded")
    assert "Not authorized" in pasted(publish).stderr
    assert running.wait_for("denied")["topic"].endswith("press-01/temperature")


def test_sighup_names_what_waits_for_the_next_start(up):
    running = up()
    configuration = running.data / "bartizan.toml"
    configuration.write_text(configuration.read_text() + "\n[limits]\ninflight_max = 3\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("needs_restart", setting="limits.inflight_max")


def test_an_identity_that_another_process_enrols_may_connect_at_once(up, tmp_path, mosquitto_pub):
    running = up()
    port = running.summary["places"][0]["address"].rpartition(":")[2]
    bundle = tmp_path / "press-02"
    words = ["--role", "press", "--attr", "site=chicago", "--out", bundle, "--port", port]
    assert run("enrol", "press-02", "--data", running.data, *words).returncode == 0
    topic = "data/chicago/hall-2/press-02/temperature"
    assert pasted(f"XDG_CONFIG_HOME={bundle} mosquitto_pub -q 1 -t {topic} -m 7").stderr == ""


def test_clients_shows_who_is_connected(up, mosquitto_sub):
    running = up()
    environment = os.environ | {"XDG_CONFIG_HOME": str(running.data / "demo" / "dash-01")}
    port = running.summary["places"][0]["address"].rpartition(":")[2]
    with subprocess.Popen([mosquitto_sub, "-p", port, "-t", "data/chicago/+/+/temperature"], env=environment) as reader:
        running.wait_for("connected", identity="dash-01")
        shown = run("clients", "--data", running.data, "--json")
        reader.kill()
    (client,) = json.loads(shown.stdout)
    assert (client["client_id"], client["identity"], client["listener"]) == ("dash-01", "dash-01", "mqtts")
    assert client["version"] == "5.0"


def test_clients_without_a_broker_says_how_to_start_one(up):
    running = up()
    running.stop()
    done = run("clients", "--data", running.data)
    assert done.returncode == 1
    assert "bartizan up --data" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_open_lab_lets_anyone_in_and_says_so(up, root, mosquitto_pub, mosquitto_sub):
    lab = root / "examples/open-lab/bartizan.toml"
    running = up("--config", lab, binds=("--set", "listeners.mqtt.bind=127.0.0.1:0"))
    told = {danger["setting"] for danger in running.summary["dangers"]}
    assert {"listeners.mqtt.danger_plaintext", "listeners.mqtt.danger_anonymous"} <= told
    running.wait_for("danger", setting="listeners.mqtt.danger_anonymous")
    assert pasted(running.summary["publish"], "-r").returncode == 0
    assert pasted(running.summary["subscribe"], "-C", "1", "-W", "8").stdout == "demo/hello world\n"


def test_a_killed_broker_leaves_nothing_that_keeps_the_next_one_from_starting(up):
    first = up()
    first.stop(signal.SIGKILL)
    assert up().summary["places"]
