"""The whole story, with real clients: a device turns erratic, is found, held, mended, released, and all of it is on record."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pyotp
import pytest

from bartizan.audit.search import records
from tests.integration.conftest import Up, port_of, run
from tests.integration.recorder import Place, Proof, Recorder

FOUND_WITHIN_S = 5.0
"""What is promised (S6.9 of the specification); it takes two, on a machine that does nothing else."""

NOT_AUTHORIZED = 0x87
PAYLOAD_FORMAT_INVALID = 0x99
TEMPERATURE = "data/chicago/hall-2/press-01/temperature"
PASSWORD = "four words that nobody guesses"
OLD = 'unit        = "Cel"\n'
DECLARED = f'{OLD}payload     = {{ format = "text", pattern = "-?[0-9]+([.][0-9]+)?" }}\nenforce     = "reject"\n'
"""What a temperature is: so that data that is none is refused, and told."""

HOLD = (
    "playbooks.hold={action = 'quarantine', mode = 'auto', severity = 'medium', quarantine_h = 8, "
    "detectors = ['broken_contract', 'topic_scan']}"
)


@pytest.fixture
def plant(up: Callable[..., Up], tmp_path: Path) -> Up:
    """A broker whose policy says what a temperature is, and whose playbook holds who is erratic."""
    running = up("--set", HOLD, "--set", "audit.events=connections")
    policy = tmp_path / "policy.toml"
    text = (running.data / "policy.toml").read_text(encoding="utf-8")
    assert OLD in text
    policy.write_text(text.replace(OLD, DECLARED), encoding="utf-8")
    applied = run("policy", "apply", policy, "--yes", "--data", running.data)
    assert applied.returncode == 0, applied.stderr
    return running


def device(plant: Up, name: str) -> Recorder:
    own = plant.data / "demo" / name
    place = Place(port_of(plant.summary["places"][0]), ca_file=str(plant.data / "pki/ca.crt"))
    return Recorder(place, name, proof=Proof(certificate_file=own / f"{name}.crt", key_file=own / f"{name}.key"))


def turns_erratic(press: Recorder) -> None:
    """Malformed data, and topics where it has no business. Its line may be cut at any moment."""
    for number in range(12):
        press.send(TEMPERATURE, f"\x00{number}~", qos=0)
    for number in range(25):
        press.send(f"factory/line-{number}/plc/registers", b"1", qos=0)


@contextmanager
def logged_in(plant: Up, name: str, maker: pyotp.TOTP) -> Iterator[httpx2.Client]:
    """By password and code; by the password alone nobody gets in."""
    trust = ssl.create_default_context(cafile=str(plant.data / "pki/ca.crt"))
    with httpx2.Client(
        base_url=f"https://{plant.summary['api']}/api/v1", verify=trust, timeout=30, trust_env=False
    ) as client:
        said = {"operator": name, "password": PASSWORD, "keep": "token"}
        assert client.post("/session", json=said).status_code == 401
        # That of this moment has confirmed it, and each is good once: an app whose clock is a little fast has the next.
        opened = client.post("/session", json=said | {"code": maker.at(int(time.time()) + maker.interval)})
        assert opened.status_code == 201, opened.text
        assert opened.json()["session"]["factors"] == ["password", "totp"]
        client.headers["authorization"] = f"Bearer {opened.json()['token']}"
        yield client


def operator_with_codes(plant: Up, directory: Path, name: str) -> pyotp.TOTP:
    secret = directory / "password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    at = ("--data", plant.data)
    added = run("operator", "add", name, "--role", "security", "--password-file", secret, *at)
    assert added.returncode == 0, added.stderr
    uri = json.loads(run("operator", "totp", "enrol", name, "--json", *at).stdout)["uri"]
    maker = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
    confirmed = run("operator", "totp", "confirm", name, maker.now(), *at)
    assert confirmed.returncode == 0, confirmed.stderr
    return maker


def test_an_erratic_device_is_found_held_mended_and_released_and_the_record_shows_it_and_that_it_is_whole(
    plant: Up, tmp_path: Path
) -> None:
    maker = operator_with_codes(plant, tmp_path, "olga")
    with closing(device(plant, "press-01").open()) as press:
        assert press.publish(TEMPERATURE, "21.5") in (0, 0x10)
        assert press.publish(TEMPERATURE, "warm") == PAYLOAD_FORMAT_INVALID
        turns_erratic(press)
        plant.wait_for("finding", FOUND_WITHIN_S, about="identity", name="press-01")
        held = plant.wait_for("response", action="quarantine", name="press-01", outcome="done")
        assert held["playbook"] == "hold"
    with closing(device(plant, "press-01").open()) as press:
        reaches_remediation_alone(press)
        with logged_in(plant, "olga", maker) as olga:
            shown = olga.get("/identities/press-01").json()
            assert shown["state"] == "quarantined"
            assert shown["quarantine_reason"].startswith("finding ")
            released = olga.post("/identities/press-01/release")
            assert (released.status_code, released.json()["after"]) == (200, "enabled")
            press.wait_end()
            with closing(device(plant, "press-01").open()) as mended:
                assert mended.publish(TEMPERATURE, "20.0") in (0, 0x10)
            the_record_shows_it(plant, olga)
            assert olga.post("/audit/verification").json()["whole"]
            a_flipped_byte_is_found(plant, olga)


def reaches_remediation_alone(press: Recorder) -> None:
    assert press.publish(TEMPERATURE, "20.0") == NOT_AUTHORIZED
    assert press.subscribe("commands/chicago/hall-2/press-01/#") == [NOT_AUTHORIZED]
    assert press.subscribe("remediation/press-02/#") == [NOT_AUTHORIZED]
    assert press.subscribe("remediation/press-01/#", qos=1) == [1]
    assert press.publish("remediation/press-01/log", "ready to be mended") == 0
    assert [each.payload for each in press.receive()] == [b"ready to be mended"]


def the_record_shows_it(plant: Up, olga: httpx2.Client) -> None:
    """Each step, in this order, by who did it. Events are written a second later."""
    login = told_of_the_login(olga)
    assert (login["who"], login["detail"]["factors"]) == ("olga", ["password", "totp"])
    asked = olga.get("/audit/records", params={"text": "press-01", "limit": 1000}).json()["items"]
    told = [one["content"] for one in asked]
    steps = [(each["what"], each.get("who"), "playbook hold" in each.get("why", "")) for each in told]
    places = [
        steps.index(step)
        for step in (
            ("connected", "press-01", False),
            ("finding", "unknown", False),
            ("identity.set", "broker", True),
            ("identity.set", "olga", False),
        )
    ]
    assert places == sorted(places), steps
    assert any(each["what"] == "response" for each in told)
    releases = [each for each in told if each.get("who") == "olga"]
    assert [each["from"] for each in releases] == ["127.0.0.1"]
    assert (releases[0]["before"]["state"], releases[0]["after"]["state"]) == ("quarantined", "enabled")
    outcomes = [
        each
        for each in records(plant.data / "audit" / "changes")
        if (each["kind"], each["what"]) == ("outcome", "identity.set")
    ]
    assert {each["outcome"] for each in outcomes} == {"done"}


def told_of_the_login(olga: httpx2.Client) -> dict[str, Any]:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        found = olga.get("/audit/records", params={"what": "operator_logged_in"}).json()["items"]
        if found:
            return found[0]["content"]
        time.sleep(0.1)
    raise AssertionError("the login is not on record")


def a_flipped_byte_is_found(plant: Up, olga: httpx2.Client) -> None:
    """In the record of the quarantine, by whoever may write the file."""
    changes = plant.data / "audit" / "changes"
    assert run("audit", "verify", "--data", plant.data).returncode == 0
    file = next(each for each in sorted(changes.iterdir()) if b"playbook hold" in each.read_bytes())
    content = bytearray(file.read_bytes())
    at = content.index(b"playbook hold")
    content[at] ^= 1
    file.write_bytes(content)
    verified = run("audit", "verify", "--json", "--data", plant.data)
    assert verified.returncode == 1
    told = json.loads(verified.stdout)["logs"]["changes"]
    assert not told["whole"]
    there = olga.post("/audit/verification").json()
    assert not there["whole"]
    assert there["logs"]["changes"]["problems"] == told["problems"]
    line = next(line for line in bytes(content).splitlines() if b"qlaybook hold" in line)
    assert told["problems"][0]["problem"] == f"record {json.loads(line)['seq']} was altered"
