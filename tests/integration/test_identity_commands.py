"""Identities of a broker that runs: what the command line changes holds for clients within a second."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Up, port_of, run
from tests.postgres import Server
from tests.security.party import eventually

TOPIC = "data/chicago/hall-2/press-01/temperature"
FILTER = "data/chicago/+/+/temperature"


def told(running: Up, *words: str | Path) -> Any:
    """Runs a verb on the broker's data directory; what it prints as JSON."""
    done = run(*words, "--data", running.data, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def publish(running: Up, bundle: Path, *words: str, topic: str = TOPIC) -> str:
    """Publishes once with a bundle; what the client complains about."""
    port = str(port_of(running.summary["places"][0]))
    command = ["mosquitto_pub", "-p", port, "-q", "1", "-t", topic, "-m", "7", *words]
    environment = os.environ | {"XDG_CONFIG_HOME": str(bundle)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False).stderr


@contextmanager
def reading(running: Up, bundle: Path, topic: str = FILTER) -> Iterator[subprocess.Popen[bytes]]:
    """A client that subscribes."""
    port = str(port_of(running.summary["places"][0]))
    environment = os.environ | {"XDG_CONFIG_HOME": str(bundle)}
    with subprocess.Popen(["mosquitto_sub", "-p", port, "-t", topic], env=environment) as reader:
        try:
            yield reader
        finally:
            reader.kill()


def test_a_quarantine_is_over_in_time_and_the_client_comes_anew(up, mosquitto_sub):
    running = up()
    dash = running.data / "demo/dash-01"
    with reading(running, dash):
        running.wait_for("connected", identity="dash-01")
        told(running, "identity", "set", "dash-01", "--state", "quarantined", "--for", "5s", "--reason", "a test")
        running.wait_for("subscription_removed", identity="dash-01")
        running.wait_for("disconnected", identity="dash-01", why="released from quarantine: connect and subscribe anew")
    eventually(lambda: told(running, "identity", "show", "dash-01")["state"] == "enabled")
    with reading(running, dash):
        eventually(lambda: sum(event["event"] == "connected" for event in running.log()) >= 2)


def test_both_certificates_work_through_the_overlap_and_who_uses_the_old_one_is_known(up, tmp_path, mosquitto_pub):
    running = up()
    old, new, last = running.data / "demo/press-01", tmp_path / "new", tmp_path / "last"
    told(running, "credential", "rotate", "press-01", "--overlap", "14d", "--out", new)
    (stale,) = told(running, "credential", "list", "--stale")
    assert publish(running, old) == ""
    eventually(lambda: told(running, "credential", "list", "--stale")[0]["last_used_at"] is not None)
    assert publish(running, new) == ""
    eventually(lambda: told(running, "credential", "list", "--stale") == [])
    seen = {one["id"]: one["last_used_at"] for one in told(running, "credential", "list", "press-01")}
    assert seen[stale["id"]] < max(seen.values())
    told(running, "credential", "rotate", "press-01", "--overlap", "0d", "--out", last)
    eventually(lambda: publish(running, new) != "")
    assert publish(running, old) != ""
    assert publish(running, last) == ""


def test_a_revoked_password_ends_the_connection_that_it_opened(up, tmp_path, mosquitto_sub):
    running = up()
    password = told(running, "credential", "rotate", "dash-01", "--kind", "password")["password"]
    (credential,) = [one["id"] for one in told(running, "credential", "list", "dash-01") if one["kind"] == "password"]
    port, ca = str(port_of(running.summary["places"][0])), str(running.data / "pki/ca.crt")
    words = [
        "-h",
        "localhost",
        "-p",
        port,
        "--cafile",
        ca,
        "-V",
        "mqttv5",
        "-i",
        "dash-01",
        "-u",
        "dash-01",
        "-P",
        password,
    ]
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path)}
    with subprocess.Popen([mosquitto_sub, *words, "-t", FILTER], env=environment) as reader:
        running.wait_for("connected", identity="dash-01", method="password")
        told(running, "credential", "revoke", "dash-01", credential)
        running.wait_for("disconnected", identity="dash-01", by="server")
        reader.kill()


def test_a_role_by_a_group_comes_and_goes_for_a_client_that_is_connected(up, mosquitto_pub, mosquitto_sub):
    running = up()
    press, dash = running.data / "demo/press-01", running.data / "demo/dash-01"
    assert publish(running, press) == ""
    told(running, "role", "revoke", "press", "press-01")
    eventually(lambda: "not authori" in publish(running, press).lower())
    told(running, "group", "add", "presses", "--role", "press")
    told(running, "group", "set", "presses", "--add-member", "press-01")
    eventually(lambda: publish(running, press) == "")
    with reading(running, dash):
        running.wait_for("connected", identity="dash-01")
        told(running, "role", "revoke", "dashboard", "dash-01")
        running.wait_for("subscription_removed", identity="dash-01")
    told(running, "group", "set", "presses", "--remove-role", "press")
    eventually(lambda: "not authori" in publish(running, press).lower())


def test_the_last_use_is_written_when_a_broker_ends_and_who_it_was_from_where(up, mosquitto_pub):
    running = up()
    assert publish(running, running.data / "demo/press-01") == ""
    assert running.stop() == 0
    shown = told(running, "identity", "show", "press-01")
    assert shown["last_seen_from"] == "127.0.0.1"
    assert [one["last_used_at"] is not None for one in shown["credentials"]] == [True]


@pytest.fixture
def database(postgres: Server, tmp_path: Path) -> list[str]:
    """Settings that put the identities into a new database."""
    password = tmp_path / "password"
    password.write_text(postgres.password)
    password.chmod(0o600)
    url = postgres.make_database()
    return ["--set", f'store.identities="{url}"', "--set", f'store.identities_password_file="{password}"']


def test_two_brokers_share_the_identities_of_a_database(up, tmp_path, database, mosquitto_pub):
    first, second = (up(*database, data=tmp_path / name) for name in ("first", "second"))
    assert first.summary["administrator_secret"]
    assert second.summary["administrator_secret"] is None, "the first one's administrator is not made anew"
    for running in (first, second):
        configuration = running.data / "bartizan.toml"
        settings = "\n".join(word.partition(".")[2] for word in database[1::2])
        configuration.write_text(configuration.read_text() + f"\n[store]\n{settings}\n")
    told(first, "identity", "add", "press-07", "--role", "press", "--attr", "site=chicago")
    password = told(second, "credential", "rotate", "press-07")["password"]
    for running in (first, second):
        bundle = tmp_path / f"bundle-{running.data.name}"
        bundle.mkdir()
        words = ["-V", "mqttv5", "-i", "press-07", "-u", "press-07", "-P", password]
        topic = TOPIC.replace("press-01", "press-07")
        ca = str(running.data / "pki/ca.crt")
        assert publish(running, bundle, *words, "-h", "localhost", "--cafile", ca, topic=topic) == ""
    told(first, "identity", "set", "press-07", "--state", "revoked")
    eventually(lambda: publish(second, bundle, *words, "-h", "localhost", "--cafile", ca, topic=topic) != "")
    assert not list((tmp_path / "first").glob("identities.sqlite*"))
