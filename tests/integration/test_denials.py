"""Why clients that are no identities of the store, bearers of tokens, were denied; and what the contract refused."""

import json
import queue
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey

from bartizan.cli.denials import _HINTS
from bartizan.policy.compiled import _WHY
from tests.integration.conftest import COMMAND, Up, place_of, run
from tests.integration.token_client import WITHIN_S, TokenClient
from tests.unit.authn.issuer import claims, signed

SECRET = b"a secret of thirty-two octets or more"
KEY = OctKey.import_key(SECRET)
ISSUER = "https://issuer.example"
NOT_AUTHORIZED, TOPIC_NAME_INVALID, PAYLOAD_FORMAT_INVALID = 0x87, 0x90, 0x99
POLICY = """\
[contract]
enforce = "reject"

[topics."data/{site}/temperature"]
publish = ["press"]
payload = { format = "json" }

[roles.press]
binds  = { site = "attr.site" }
permit = [{ action = "publish", filter = "log/{site}" }]
"""
ALL = [{"action": "all", "filter": "#"}]


class Bearer(TokenClient):
    """A client with a token, connected until it is closed."""

    def __init__(self, running: Up, name: str, grants: list[dict[str, str]]) -> None:
        place = place_of(running)
        assert place.ca_file is not None
        super().__init__(place.port, place.ca_file, name)
        self._acknowledged = queue.Queue[int]()
        self.on_publish = lambda _client, _of, _mid, code, _said: self._acknowledged.put(code.value)
        said = claims(iss=ISSUER, sub=name, aud="plant", roles=["press"], site="chicago", grants=grants)
        assert self.open(signed(KEY, "HS256", said).decode()) == 0

    def reason_for(self, topic: str, payload: str = "71.5") -> int:
        """The Reason Code of PUBACK."""
        self.publish(topic, payload, qos=1)
        return self._acknowledged.get(timeout=WITHIN_S)


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
    assert bearer("narrow", [{"action": "subscribe", "filter": "#"}]).reason_for("log/chicago") == NOT_AUTHORIZED
    (denied,) = denials(running)
    assert (denied["identity"], denied["why"]) == ("narrow", "not_in_token")
    assert "whoever issues the token" in denied["hint"]
    done = run("denials", "approve", str(denied["number"]), "--data", running.data)
    assert (done.returncode, "no patch: its roles permit it and its token does not" in done.stdout) == (1, True), done


def test_the_grant_for_a_bearer_has_the_variables_of_its_attributes(running, bearer):
    assert bearer("wide", ALL).reason_for("data/chicago/oil") == NOT_AUTHORIZED
    (denied,) = denials(running)
    done = run("denials", "approve", str(denied["number"]), "--data", running.data)
    assert (done.returncode, 'filter = "data/{site}/oil"' in done.stdout) == (0, True), done.stdout + done.stderr


def approved(running: Up, denied: dict[str, Any], policy: Path) -> tuple[int, str]:
    """The exit code and what is told."""
    done = run("denials", "approve", str(denied["number"]), "--policy", policy, "--data", running.data)
    return done.returncode, done.stdout


def test_a_payload_that_does_not_fit_is_a_denial_that_no_grant_helps(running, bearer, tmp_path):
    key = 'topics."data/{site}/temperature".payload'
    client = bearer("wide", ALL)
    for _ in range(2):
        assert client.reason_for("data/chicago/temperature", "no JSON") == PAYLOAD_FORMAT_INVALID
    (denied,) = denials(running)
    told = {name: denied[name] for name in ("identity", "action", "topic", "why", "rule", "count", "bytes", "qos")}
    assert told == {
        "identity": "wide", "action": "publish", "topic": "data/chicago/temperature", "why": "payload_misfit", "rule": key,
        "count": 2, "bytes": len("no JSON"), "qos": 1,
    }  # fmt: skip
    assert f"correct what the client sends, or {key}" in denied["hint"]
    code, said = approved(running, denied, tmp_path / "policy.toml")
    assert (code, "no patch: no grant helps" in said, 'payload = { format = "json" }' in said) == (1, True, True), said
    session = json.loads(run("session", "show", "wide", "--json", "--data", running.data).stdout)
    assert [(each["number"], each["why"]) for each in session["denials"]] == [(denied["number"], "payload_misfit")]
    running.wait_for("contract_broken", broken="payload")


def test_a_topic_that_nobody_declares_is_a_denial_until_it_is_declared(running, bearer, tmp_path):
    assert bearer("wide", ALL).reason_for("log/chicago") == TOPIC_NAME_INVALID
    (denied,) = denials(running)
    assert (denied["topic"], denied["why"], denied["rule"]) == ("log/chicago", "topic_undeclared", "contract.enforce")
    code, said = approved(running, denied, tmp_path / "policy.toml")
    assert (code, "declare the topic in the policy ([topics])" in said) == (1, True), said
    declared = tmp_path / "declared.toml"
    declared.write_text(f'{POLICY}[topics."log/{{site}}"]\npublish = ["press"]\n')
    assert approved(running, denied, declared) == (
        0, "no patch: log/chicago is refused no more for not being declared\n",
    )  # fmt: skip


def test_what_the_contract_refuses_is_followed_in_words(running, bearer):
    assert bearer("wide", ALL).reason_for("data/chicago/temperature", "no JSON") == PAYLOAD_FORMAT_INVALID
    words = [*COMMAND, "denials", "--follow", "--since", "1h", "--data", str(running.data)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            line = follower.stdout.readline()
        finally:
            follower.kill()
    assert "wide (wide) publish data/chicago/temperature: deny: a rule permits it, but its payload is not what" in line
    assert "no grant helps" in line


def test_every_reason_of_a_denial_says_what_can_be_done():
    assert set(_HINTS) == set(_WHY) - {"permitted"}
