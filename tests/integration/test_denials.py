"""Why clients that are no identities of the store, bearers of tokens, were denied; and what the contract refused."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from paho.mqtt.enums import CallbackAPIVersion

from bartizan.cli.denials import _HINTS
from bartizan.policy.compiled import _WHY
from tests.integration.conftest import Up, place_of, run

SECRET = b"a secret of thirty-two octets or more"
ISSUER = "https://issuer.example"
WITHIN_S = 20.0
POLICY = """\
[topics."data/{site}/temperature"]
publish = ["press"]
enforce = "reject"
payload = { format = "json" }

[roles.press]
binds  = { site = "attr.site" }
permit = [{ action = "publish", filter = "log/{site}" }]
"""
ALL = [{"action": "all", "filter": "#"}]


class Bearer:
    """A client with a token, connected until it is closed."""

    def __init__(self, running: Up, name: str, grants: list[dict[str, str]]) -> None:
        claims = {"iss": ISSUER, "sub": name, "aud": "plant", "exp": int(time.time()) + 600, "roles": ["press"]}
        words = claims | {"site": "chicago", "grants": grants}
        token = jwt.encode({"alg": "HS256"}, words, OctKey.import_key(SECRET), algorithms=["HS256"])
        place = place_of(running)
        self._answers: list[int] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self._client.tls_set(place.ca_file)
        self._client.username_pw_set(name, token)
        self._client.on_connect = lambda _client, _of, _flags, code, _said: self._answers.append(code.value)
        self._client.on_publish = lambda _client, _of, _mid, code, _said: self._answers.append(code.value)
        self._client.connect("127.0.0.1", place.port)
        self._client.loop_start()
        assert self._answer() == 0

    def _answer(self) -> int:
        ends = time.monotonic() + WITHIN_S
        while not self._answers and time.monotonic() < ends:
            time.sleep(0.01)
        return self._answers.pop(0)

    def publish(self, topic: str, payload: str = "71.5") -> int:
        """The Reason Code of PUBACK."""
        self._client.publish(topic, payload, qos=1)
        return self._answer()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def running(up: Any, tmp_path: Path) -> Up:
    secret, policy = tmp_path / "secret", tmp_path / "policy.toml"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    policy.write_text(POLICY)
    tokens = (
        f'authenticators.tokens={{ kind = "jwt", issuer = "{ISSUER}", algorithms = ["HS256"], audience = ["plant"], '
        f'secret_file = "{secret}", identities = "token", roles_claim = "roles", roles_allowed = ["press"], '
        'attribute_claims = { site = "site" }, grants_claim = "grants" }'
    )
    asked = 'listeners.mqtts.authentication=["tokens"]'
    return up("--set", f"policy.file={policy}", "--set", tokens, "--set", asked)


@pytest.fixture
def bearer(running: Up) -> Iterator[Callable[..., Bearer]]:
    with ExitStack() as stack:

        def made(name: str, grants: list[dict[str, str]]) -> Bearer:
            found = Bearer(running, name, grants)
            stack.callback(found.close)
            return found

        yield made


def denials(running: Up) -> list[dict[str, Any]]:
    return json.loads(run("denials", "--json", "--data", running.data).stdout)


def test_what_a_token_does_not_allow_is_not_said_to_be_allowed_by_now(running, bearer):
    assert bearer("narrow", [{"action": "subscribe", "filter": "#"}]).publish("log/chicago") != 0
    (denied,) = denials(running)
    assert (denied["identity"], denied["why"]) == ("narrow", "not_in_token")
    assert "whoever issues the token" in denied["hint"]
    done = run("denials", "approve", str(denied["number"]), "--data", running.data)
    assert (done.returncode, "no patch: its roles permit it and its token does not" in done.stdout) == (1, True), done


def test_the_grant_for_a_bearer_has_the_variables_of_its_attributes(running, bearer):
    assert bearer("wide", ALL).publish("data/chicago/oil") != 0
    (denied,) = denials(running)
    done = run("denials", "approve", str(denied["number"]), "--data", running.data)
    assert (done.returncode, 'filter = "data/{site}/oil"' in done.stdout) == (0, True), done.stdout + done.stderr


def test_what_the_contract_refuses_is_no_denial_and_that_is_said(running, bearer):
    assert bearer("wide", ALL).publish("data/chicago/temperature", "no JSON") != 0
    assert denials(running) == []
    shown = run("denials", "--data", running.data).stdout
    assert "`bartizan audit search --what contract_broken`" in shown
    running.wait_for("contract_broken", broken="payload")
    found = run("audit", "search", "--what", "contract_broken", "--json", "--data", running.data).stdout
    assert [json.loads(line)["what"] for line in found.splitlines()] == ["contract_broken"]


def test_every_reason_of_a_denial_says_what_can_be_done():
    assert set(_HINTS) == set(_WHY) - {"permitted"}
