"""The command line as its user meets it: what is printed is taken from the screen and typed again."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.pki.ca import Authority
from bartizan.pki.profiles import build_leaf, certificate_pem, key_pem, new_key, server_name
from bench.ports import free_ports
from tests.integration.conftest import API, BINDS, COMMAND, START_WITHIN_S, Up, port_of, run
from tests.integration.recorder import Place, Proof, Recorder

FILTER = "data/chicago/+/+/temperature"
TOPIC = "data/chicago/hall-2/press-01/temperature"
KINDS = (("certificate", "crt"), ("key", "key"))
SHUTTING_DOWN = 0x8B
LOGGED = re.compile(r"\d{4}-\d\d-\d\dT")
# A new session whose controlling terminal is its standard input, as a terminal emulator makes it; should these tests
# run under `nohup`, what is started there does not.
IN_TERMINAL = (
    "import fcntl, os, signal, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv({0!r}, {1!r})"
)


@dataclass
class Terminal:
    """A broker in a terminal of its own, and what stands on its screen."""

    process: subprocess.Popen[bytes]
    master: int
    screen: str = ""

    def read_until(self, text: str) -> str:
        """The screen, once this text stands there."""
        ends = time.monotonic() + START_WITHIN_S
        while text not in self.screen:
            assert time.monotonic() < ends, self.screen
            with suppress(OSError):
                self.screen += os.read(self.master, 65536).decode().replace("\r\n", "\n")
        return self.screen

    def close(self) -> None:
        """The window is closed."""
        if self.master >= 0:
            os.close(self.master)
        self.master = -1


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts `bartizan up` in a terminal."""
    opened: list[Terminal] = []

    def start(*words: str, columns: int = 80, **environment: str) -> Terminal:
        master, slave = os.openpty()
        command = [*COMMAND, "up", "--data", str(tmp_path / "data"), *BINDS, *words]
        inside = [sys.executable, "-c", IN_TERMINAL.format(command[0], command)]
        variables = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
        process = subprocess.Popen(inside, stdin=slave, stdout=slave, stderr=slave, env=variables)
        os.close(slave)
        opened.append(Terminal(process, master))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
        one.process.kill()
        one.process.wait(60)


def plain(screen: str) -> str:
    """What is read, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", screen)


def commands(screen: str) -> tuple[str, str]:
    """The two commands that a first run shows."""
    subscribe, publish = (line.strip() for line in plain(screen).splitlines() if "mosquitto_" in line)
    return subscribe, publish


@contextmanager
def typed(command: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a shell of its own, as in a second terminal."""
    with subprocess.Popen(["sh", "-c", f"exec stdbuf -oL env {command}"], stdout=subprocess.PIPE, text=True) as one:
        yield one
        one.kill()


def test_the_two_commands_on_the_screen_work_as_they_stand(terminal, mosquitto_sub, mosquitto_pub):
    running = terminal(columns=200)
    subscribe, publish = commands(running.read_until("started"))
    with typed(subscribe) as reader:
        assert reader.stdout is not None
        running.read_until("connected")
        time.sleep(0.5)  # its SUBSCRIBE follows at once; a person is slower than that
        assert subprocess.run(["sh", "-c", publish], check=False, timeout=15).returncode == 0
        assert reader.stdout.readline() == f"{TOPIC} 71.5\n"


def test_the_screen_names_what_a_person_needs_and_fits_80_columns(terminal, tmp_path):
    screen = plain(terminal(columns=80).read_until("Try it"))
    for text in (
        "Bartizan is up, for the first time.",
        "MQTT, TLS",
        "MQTT over WebSocket, TLS",
        str(tmp_path / "data" / "policy.toml"),
        "SHA-256",
        "shown only now",
    ):
        assert text in screen
    # Paths are as long as they are, and the log has begun where the screen was read late; everything else fits.
    lines = [line for line in screen.splitlines() if str(tmp_path) not in line and not LOGGED.match(line)]
    assert [line for line in lines if len(line) > 80] == []


def test_a_terminal_gets_colours_and_no_color_takes_them_away(terminal):
    assert "\x1b[" in terminal().read_until("Try it")


def test_no_color_is_obeyed(terminal):
    assert "\x1b[" not in terminal(NO_COLOR="1").read_until("started")


def test_a_broker_ends_with_its_terminal(terminal):
    running = terminal()
    running.read_until("started")
    running.close()
    assert running.process.wait(60) == 0


def test_sighup_reloads_while_the_terminal_is_there(terminal):
    running = terminal()
    running.read_until("started")
    running.process.send_signal(signal.SIGHUP)
    running.read_until("reloaded")
    assert running.process.poll() is None


# ---- a running broker ---------------------------------------------------------------------------------


@pytest.fixture
def running(up: Callable[..., Up]) -> Up:
    return up()


@pytest.fixture
def enrol(running: Up, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """`bartizan enrol`, for the port the system chose."""

    def make(name: str, *words: str) -> dict[str, str]:
        port = str(port_of(running.summary["places"][0]))
        words = (*words, "--data", str(running.data), "--out", str(tmp_path / name), "--port", port, "--json")
        done = run("enrol", name, *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return make


def mosquitto(program: Path, bundle: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A client of Mosquitto with a bundle and nothing else."""
    environment = os.environ | {"XDG_CONFIG_HOME": bundle}
    command = [str(program), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=15, check=False)


def test_an_enrolled_device_and_a_dashboard_with_a_password_meet(enrol, mosquitto_pub, mosquitto_sub):
    press = enrol("press-02", "--role", "press", "--attr", "site=chicago")
    dash = enrol("dash-02", "--role", "dashboard", "--attr", "site=chicago", "--password")
    topic = "data/chicago/hall-2/press-02/temperature"
    assert mosquitto(mosquitto_pub, press["bundle"], "-q", "1", "-r", "-t", topic, "-m", "71.5").stderr == ""
    read = mosquitto(mosquitto_sub, dash["bundle"], "-P", dash["password"], "-C", "1", "-W", "8", "-t", topic)
    assert (read.returncode, read.stdout) == (0, "71.5\n")
    refused = mosquitto(mosquitto_pub, press["bundle"], "-q", "1", "-t", TOPIC, "-m", "99")
    assert "Not authorized" in refused.stderr


@pytest.fixture
def demo(running: Up) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`bartizan pub` and `sub` as a demo identity; the bundle cannot know a port that the system chose."""
    port = str(port_of(running.summary["places"][0]))

    def do(verb: str, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return run(verb, "--as", running.data / "demo" / name, "--port", port, *words)

    return do


def test_pub_and_sub_speak_with_a_bundle(demo):
    assert demo("pub", "press-01", "-t", TOPIC, "-m", "71.5", "-r").returncode == 0
    read = demo("sub", "dash-01", "-t", FILTER, "-C", "1", "-W", "8", "--json")
    assert json.loads(read.stdout) == {"topic": TOPIC, "payload": "71.5", "qos": 1, "retain": True}


def test_refusals_are_told_in_one_line_with_exit_code_1(demo):
    foreign = TOPIC.replace("press-01", "press-09")
    for words, said in (
        (("pub", "press-01", "-t", foreign, "-m", "1"), "Not authorized"),
        (("pub", "press-01", "-t", foreign, "-m", "1", "--mqtt", "3.1.1"), "closed"),
        (("sub", "dash-01", "-t", "#", "-W", "5"), "Not authorized"),
        (("sub", "dash-01", "-t", "#", "-W", "5", "--mqtt", "3.1.1"), "refused"),
    ):
        done = demo(*words)
        assert done.returncode == 1, words
        (line,) = done.stderr.splitlines()
        assert said in line


def test_doctor_and_policy_check_on_the_directory_of_a_running_broker(running, tmp_path):
    report = json.loads(run("doctor", "--json", "--data", running.data).stdout)
    assert {listener["name"] for listener in report["listeners"]} == {"mqtts", "wss"}
    assert report["api"]["bind"] == "127.0.0.1:8444", "as it is set; the fixture starts it elsewhere"
    assert [finding["level"] for finding in report["findings"]] == ["warning"]
    assert run("policy", "check", running.data / "policy.toml").returncode == 0
    bad = tmp_path / "bad.toml"
    bad.write_text('[topics."a/{x}/b"]\npublish = ["nobody-defined"]\n[roles.press]\nbinds = { x = 7 }\n')
    done = run("policy", "check", bad)
    assert done.returncode == 2
    assert f"{bad}:4:" in done.stdout + done.stderr


# ---- signals, seen by clients -------------------------------------------------------------------------


def demo_proof(running: Up) -> Proof:
    """The certificate of the demo dashboard."""
    bundle = running.data / "demo" / "dash-01"
    return Proof(certificate_file=bundle / "dash-01.crt", key_file=bundle / "dash-01.key")


@pytest.fixture
def dash(running: Up, recorders) -> Callable[..., Recorder]:
    """Connects the demo dashboard by its certificate."""
    place = Place(port_of(running.summary["places"][0]), ca_file=str(running.data / "pki" / "ca.crt"))
    proof = demo_proof(running)

    def connect(suffix: str, **more) -> Recorder:
        return recorders(place, f"dash-01-{suffix}", proof=proof, **more).open()

    return connect


def test_sigterm_says_0x8b_to_mqtt_5_and_closes_all(running, dash):
    new, old = dash("new"), dash("old", version="3.1.1")
    assert running.stop(signal.SIGTERM) == 0
    assert new.wait_end() == SHUTTING_DOWN
    assert old.wait_end()


def server_certificate(client: Recorder) -> bytes | None:
    """What the broker showed to this client."""
    line = client.paho.socket()
    assert isinstance(line, ssl.SSLSocket)
    return line.getpeercert(binary_form=True)


def renew(authority: Authority, directory: Path) -> None:
    """Writes a new server certificate and its key."""
    key = new_key()
    leaf = build_leaf(
        issuer=authority.certificate,
        issuer_key=authority.key,
        key=key.public_key(),
        common_name="localhost",
        names=[server_name("127.0.0.1")],
        server=True,
        at=datetime.now(UTC),
        lifetime=timedelta(days=90),
    )
    (directory / "server.crt").write_bytes(certificate_pem(leaf))
    (directory / "server.key").write_bytes(key_pem(key))


def test_sighup_takes_another_certificate_without_dropping_anyone_and_no_unusable_one(up, tmp_path, recorders):
    authority = Authority.create(tmp_path / "own.crt", tmp_path / "own.key", name="own", at=datetime.now(UTC))
    renew(authority, tmp_path)
    files = [f"listeners.mqtts.{kind}_file={tmp_path}/server.{end}" for kind, end in KINDS]
    running = up(*(word for setting in files for word in ("--set", setting)))
    place = Place(port_of(running.summary["places"][0]), ca_file=str(tmp_path / "own.crt"))
    proof = demo_proof(running)
    before = recorders(place, "dash-01-before", proof=proof).open()
    renew(authority, tmp_path)
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reloaded")
    after = recorders(place, "dash-01-after", proof=proof).open()
    assert server_certificate(after) != server_certificate(before)
    (tmp_path / "server.crt").write_text("not a certificate")
    running.process.send_signal(signal.SIGHUP)
    assert "server certificate" in running.wait_for("certificates_refused", listener="mqtts")["reason"]
    again = recorders(place, "dash-01-again", proof=proof).open()
    assert server_certificate(again) == server_certificate(after)
    assert before.subscribe(FILTER) == [2]  # the first connection lives on through all of it


# ---- starts that are refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--config", "absent.toml"], "absent.toml"),
        (["--config", "bad.toml"], "bad.toml:2:"),
        (["--config", "unknown.toml"], "unknown key"),
        (["--set", "listeners.mqtts.certificate_file=absent.crt"], "key_file"),
        (
            ["--set", "listeners.mqtts.certificate_file=a.crt", "--set", "listeners.mqtts.key_file=a.key"],
            "a.crt",
        ),
        (["--set", "listeners.mqtts.bind=127.0.0.1"], "bind"),
        (["--set", "listeners.mqtts.bind=192.0.2.1:8883"], "192.0.2.1:8883"),
        (["--set", "nonsense"], "nonsense"),
        (["--set", "policy.file=absent-policy.toml"], "absent-policy.toml"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_a_start_that_cannot_be_is_told_in_one_line_and_nothing_listens(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("[listeners.mqtts]\nbind = \n")
    Path("unknown.toml").write_text("[limits]\ninflite_max = 3\n")
    port = free_ports(1)[0]
    done = run("up", "--data", "data", *API, "--set", f"listeners.wss.bind=127.0.0.1:{port}", *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line
    assert "Traceback" not in done.stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    # Nothing was made, or all of it: the next start completes or continues.
    assert not Path("data").exists() or Path("data/.complete").exists()
