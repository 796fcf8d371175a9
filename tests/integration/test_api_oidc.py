"""Operators by a real OpenID Provider, over real TLS, with a client that follows redirects as a browser does."""

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx2
import pytest

from bartizan.api.caller import COOKIE
from bartizan.api.oidc import HANDOVER_ENDS_AFTER
from bartizan.api.once import PER_PLACE_MAX
from bartizan.authn.operators import LONG_AGO
from bartizan.cli.app import run
from bartizan.config.authenticators import PasswordSettings
from bartizan.model.operator import Operator
from bench.ports import free_ports
from tests.integration.api import PASSWORD, Api, serving
from tests.integration.lying_provider import Liar
from tests.integration.oidc import OpenIdProvider
from tests.unit.authn.issuer import ec, signed, unsigned

GENEROUS = ("api.requests_per_s=10000", "passwords.free_failures=100", "passwords.free_failures_per_network=1000")
GROUPS = ("roles_claim=groups", 'roles={ admin = ["mqtt-admins"], viewer = ["staff", "guests"] }')


PORTS: list[int] = []
"""Of brokers that run at once: the provider knows beforehand where it sends people back to."""


def callback(port: int) -> str:
    return f"https://localhost:{port}/api/v1/session/oidc/callback"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    PORTS.extend(free_ports(3))
    with OpenIdProvider(tmp_path_factory.mktemp("provider"), 60, (), tuple(map(callback, PORTS))) as running:
        yield running


@contextmanager
def door(provider: OpenIdProvider, *settings: str) -> Iterator[Api]:
    """A broker at which people of this provider log in."""
    named = (
        f"issuer={provider.issuer}",
        "client_id=console",
        f"client_secret_file={provider.secret_file}",
        f"ca_file={provider.ca_file}",
        'scopes=["openid", "email", "profile", "groups"]',
        "operator_claim=preferred_username",
    )
    every = (f"api.oidc.{one}" for one in (*named, *settings))
    port = PORTS.pop()
    try:
        with serving(None, f"api.bind=127.0.0.1:{port}", *GENEROUS, *every) as running:
            yield running
    finally:
        PORTS.append(port)


def server_of(api: Api) -> str:
    """As browsers reach it."""
    return f"https://localhost:{urlsplit(api.url).port}"


@pytest.fixture(scope="module")
def stored(provider: OpenIdProvider) -> Iterator[Api]:
    with door(provider) as running:
        yield running


class Browser:
    """Follows redirects one by one, and keeps cookies."""

    def __init__(self, api: Api, provider: OpenIdProvider) -> None:
        trust = ssl.create_default_context(cafile=api.broker.ca_file)
        trust.load_verify_locations(provider.ca_file)
        self.client = api.stack.enter_context(
            httpx2.Client(verify=trust, timeout=30, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))
        )
        self.api = f"{server_of(api)}/api/v1"

    def begin(self, **words: Any) -> str:
        """Where the broker sends it."""
        return self.location(self.client.get(f"{self.api}/session/oidc", params=words))

    def there(self, place: str) -> str:
        """From the provider's door to where it sends the browser back; that is not asked yet."""
        while True:
            place = self.location(self.client.get(place))
            if "/session/oidc/callback" in place:
                return place

    def back(self, place: str) -> httpx2.Response:
        """Comes back to the broker."""
        return self.client.get(place)

    def log_in(self, **words: Any) -> httpx2.Response:
        """The whole way."""
        return self.back(self.there(self.begin(**words)))

    def me(self) -> dict[str, Any]:
        return self.client.get(f"{self.api}/session").json()

    @staticmethod
    def location(answer: httpx2.Response) -> str:
        assert answer.status_code in {302, 303}, answer.text
        return str(answer.request.url.join(answer.headers["location"]))


def words_of(place: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}


def changed(place: str, **words: str | None) -> str:
    """The same place with other words; None: without one."""
    kept = {name: value for name, value in (words_of(place) | words).items() if value is not None}
    return urlunsplit(urlsplit(place)._replace(query=urlencode(kept)))


def sits(provider: OpenIdProvider, operator: Operator | str, sub: str = "", **more: Any) -> None:
    """Somebody sits before the browser, whose name there is that of this operator."""
    name = operator if isinstance(operator, str) else str(operator.name)
    claims = {"preferred_username": name, **more.pop("claims", {})}
    provider.before_the_browser(sub or f"sub-{name}", claims=claims, **more)


def refused(answer: httpx2.Response) -> None:
    """As a wrong password is: nothing is told, and nobody is logged in."""
    assert answer.status_code == 401, answer.text
    assert answer.json()["type"] == "urn:bartizan:problem:login-refused"
    assert answer.json()["detail"] == "the login was refused"
    assert COOKIE not in "".join(answer.headers.get_list("set-cookie"))


# ---- the way in -------------------------------------------------------------------------------------


def test_a_person_logs_in_by_browser(stored, provider):
    operator = stored.operator("viewer", "admin")
    sits(provider, operator)
    browser = Browser(stored, provider)
    came = browser.log_in(to="/console/?a=1&b=%22x")
    assert came.status_code == 200
    assert 'content="0; url=/console/?a=1&amp;b=%22x"' in came.text
    kept = next(one for one in came.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}=bzs_"))
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(kept.split("; "))
    me = browser.me()
    assert me["actor"] == operator.name
    assert me["session"]["factors"] == ["oidc"]
    assert (me["roles"], me["withheld_roles"]) == (["viewer"], ["admin"]), "the provider speaks of no second factor"
    assert stored.run(stored.house.operators.operator(operator.name)).subject == (
        f"{provider.issuer} sub-{operator.name}"
    )


@pytest.mark.parametrize(
    ("settings", "said", "counts"),
    [
        ((), {"amr": ["pwd", "mfa"]}, True),
        ((), {"amr": ["pwd"]}, False),
        (('mfa_amr=["hwk"]',), {"amr": ["hwk"]}, True),
        (('mfa_amr=["hwk"]',), {"amr": ["mfa"]}, False),
        (('mfa_acr=["urn:plant:two"]',), {"acr": "urn:plant:two"}, True),
        (('mfa_acr=["urn:plant:two"]',), {"acr": "urn:plant:one"}, False),
    ],
)
def test_two_factors_count_where_the_provider_says_so_in_words_that_were_agreed(provider, settings, said, counts):
    with door(provider, *settings) as api:
        operator = api.operator("viewer", "admin")
        sits(provider, operator, **said)
        browser = Browser(api, provider)
        assert browser.log_in().status_code == 200
        me = browser.me()
        assert me["withheld_roles"] == ([] if counts else ["admin"])
        assert ("oidc-mfa" in me["session"]["factors"]) == counts


def test_who_is_no_operator_is_disabled_or_lacks_a_claim_stays_out(provider):
    with door(provider, "required_claims={ groups = 'mqtt' }") as api:
        known, off = api.operator("viewer"), api.operator("viewer", is_enabled=False)
        sits(provider, known, claims={"groups": ["mqtt", "other"]})
        assert Browser(api, provider).log_in().status_code == 200
        for who, groups in (("nobody-here", ["mqtt"]), (off, ["mqtt"]), (known, None), (known, "mqtts"), (known, [])):
            sits(provider, who, claims={"groups": groups})
            browser = Browser(api, provider)
            refused(browser.log_in())
            assert browser.client.get(f"{browser.api}/session").status_code == 401


def test_a_name_that_changed_hands_there_is_not_the_same_operator_here(stored, provider):
    operator = stored.operator("viewer")
    sits(provider, operator, "first")
    first = Browser(stored, provider)
    assert first.log_in().status_code == 200
    sits(provider, operator, "second")
    refused(Browser(stored, provider).log_in())
    admin = stored.as_("admin")
    assert admin.get(f"/operators/{operator.name}").json()["subject"] == f"{provider.issuer} first"
    assert admin.patch(f"/operators/{operator.name}", json={"unlink": True}).json()["subject"] == ""
    assert first.client.get(f"{first.api}/session").status_code == 401, "a login by what was forgotten is over"
    assert Browser(stored, provider).log_in().status_code == 200


def test_a_login_ends_at_once_when_its_operator_is_disabled(stored, provider):
    operator = stored.operator("viewer")
    sits(provider, operator)
    browser = Browser(stored, provider)
    browser.log_in()
    assert browser.me()["actor"] == operator.name
    assert stored.as_("admin").patch(f"/operators/{operator.name}", json={"enabled": False}).status_code == 200
    assert browser.client.get(f"{browser.api}/session").status_code == 401


# ---- operators that the provider brings -------------------------------------------------------------


@pytest.fixture(scope="module")
def brought(provider: OpenIdProvider) -> Iterator[Api]:
    with door(provider, 'operators="token"', *GROUPS) as running:
        yield running


def test_an_operator_is_added_at_its_first_login_with_the_roles_that_are_mapped_and_no_others(brought, provider):
    groups = {"groups": ["staff", "admin", "security", "mqtt-admins", "everyone"]}
    sits(provider, "New.Person@plant.example", claims=groups, amr=["mfa"])
    browser = Browser(brought, provider)
    assert browser.log_in().status_code == 200
    assert (browser.me()["actor"], browser.me()["roles"]) == ("new.person@plant.example", ["viewer", "admin"])
    sits(provider, "new.person@plant.example", "sub-New.Person@plant.example", claims={"groups": ["guests"]})
    again = Browser(brought, provider)
    assert again.log_in().status_code == 200
    assert again.me()["roles"] == ["viewer"]
    assert browser.me()["roles"] == ["viewer"], "roles are those of now, in every login"
    said = brought.as_("security").get("/audit/records", params={"what": "operator.add"}).json()["items"]
    assert any(one["content"].get("target") == "operator/new.person@plant.example" for one in said)


@pytest.mark.parametrize(
    "groups", [[], ["admin"], ["mqtt-adminsx"], "mqtt-admins staff", None, {"staff": True}, [["staff"]]]
)
def test_without_a_group_that_is_mapped_nobody_is_added(brought, provider, groups):
    sits(provider, "unmapped", claims={"groups": groups})
    refused(Browser(brought, provider).log_in())
    assert brought.run(brought.house.operators.operator("unmapped")) is None


def test_an_operator_who_was_added_by_hand_is_not_taken_over(brought, provider):
    operator = brought.operator("admin", "security")
    sits(provider, operator, claims={"groups": ["mqtt-admins"]})
    refused(Browser(brought, provider).log_in())
    left = brought.run(brought.house.operators.operator(operator.name))
    assert (left.subject, left.roles) == ("", operator.roles)


def test_who_is_brought_by_the_provider_makes_itself_no_way_in_beside_it(provider):
    """Else it would be in still when the provider knows it no longer."""
    with door(provider, 'operators="token"', *GROUPS) as api:
        sits(provider, "brought", claims={"groups": ["staff"]})
        browser = Browser(api, provider)
        browser.log_in()
        own = {"sec-fetch-site": "same-origin"}
        refusal = browser.client.post(f"{browser.api}/session/passkeys/options", headers=own)
        assert refusal.status_code == 403
        assert "OpenID Provider" in refusal.json()["detail"]


@pytest.mark.parametrize("name", ["", "Ünsal", "a b", "-x", "x" * 65, "a/../b", "1st"])
def test_a_name_that_is_none_here_lets_nobody_in(brought, provider, name):
    sits(provider, name, "odd", claims={"groups": ["staff"]})
    refused(Browser(brought, provider).log_in())


def test_an_address_counts_only_where_it_is_verified(provider):
    with door(provider, "operator_claim=email", 'operators="token"', *GROUPS) as api:
        for verified in (False, "true", None):
            claims = {"email": "x@plant.example", "email_verified": verified, "groups": ["staff"]}
            sits(provider, "x", claims=claims)
            refused(Browser(api, provider).log_in())
        sits(provider, "x", claims=claims | {"email_verified": True})
        assert Browser(api, provider).log_in().status_code == 200


# ---- a recent proof ---------------------------------------------------------------------------------


def test_a_login_of_long_ago_at_the_provider_is_no_recent_proof_and_a_fresh_one_is(stored, provider):
    operator = stored.operator("admin")
    an_hour_ago = int(time.time()) - 3_600
    sits(provider, operator, amr=["mfa"], ts=an_hour_ago)
    browser = Browser(stored, provider)
    assert browser.log_in().status_code == 200
    assert browser.me()["session"]["proved_at"].startswith(datetime.fromtimestamp(an_hour_ago, UTC).isoformat()[:16])
    words = {"json": {"operator": f"x{operator.name}"}, "headers": {"sec-fetch-site": "same-origin"}}
    assert "recent proof" in browser.client.post(f"{browser.api}/operators", **words).json()["detail"]
    # What the provider says of a fresh proof is not believed where it is old.
    refused(browser.log_in(fresh=True))
    sits(provider, operator, amr=["mfa"])
    assert words_of(browser.begin(fresh=True))["prompt"] == "login"
    assert browser.log_in(fresh=True).status_code == 200
    assert browser.client.post(f"{browser.api}/operators", **words).status_code == 201


def test_the_provider_is_told_how_old_a_login_there_may_be(stored, provider):
    browser = Browser(stored, provider)
    assert words_of(browser.begin())["max_age"] == str(stored.house.settings.session_s)
    assert words_of(browser.begin(fresh=True))["max_age"] == "0"
    # Where nobody asked, this one does not say when: that is no recent proof.
    sits(provider, stored.operator("viewer"))
    assert browser.back(browser.there(changed(browser.begin(), max_age=None))).status_code == 200
    assert browser.me()["session"]["proved_at"].startswith("1970")


# ---- attacks ----------------------------------------------------------------------------------------


@pytest.fixture
def victim(stored: Api, provider: OpenIdProvider) -> Operator:
    """Somebody who may much, and sits before the browser."""
    operator = stored.operator("admin", "security", "viewer")
    sits(provider, operator, amr=["mfa"])
    return operator


def test_a_state_that_was_never_given_or_was_used_lets_nobody_in(stored, provider, victim):
    browser = Browser(stored, provider)
    place = browser.there(browser.begin())
    refused(browser.back(changed(place, state="A" * 32)))
    assert browser.back(changed(place, state=None)).status_code == 422
    assert browser.back(place).status_code == 200
    refused(Browser(stored, provider).back(place))
    browser.begin()
    refused(browser.back(place))


def test_an_answer_in_another_browser_than_the_one_that_asked_lets_nobody_in(stored, provider, victim):
    """Else a link would log its reader in as whoever made it, or the other way round."""
    mine, another = Browser(stored, provider), Browser(stored, provider)
    place = mine.there(mine.begin())
    refused(another.back(place))
    refused(mine.back(place))
    another.begin()  # with a cookie of its own
    place = mine.there(mine.begin())
    refused(another.back(place))


def test_an_id_token_for_another_question_lets_nobody_in(stored, provider, victim):
    browser = Browser(stored, provider)
    for nonce in ("another", None):
        refused(browser.back(browser.there(changed(browser.begin(), nonce=nonce))))


def test_a_stolen_code_is_good_for_nobody_without_the_verifier(stored, provider, victim):
    owner, thief = Browser(stored, provider), Browser(stored, provider)
    stolen = words_of(owner.there(owner.begin()))["code"]
    place = thief.there(thief.begin())
    refused(thief.back(changed(place, code=stolen)))
    assert thief.client.get(f"{thief.api}/session").status_code == 401
    # And a question whose challenge was made by the thief is not the one that the broker has the verifier to.
    place = owner.there(changed(owner.begin(), code_challenge="A" * 43))
    refused(owner.back(place))


def test_a_code_counts_once(stored, provider, victim):
    browser = Browser(stored, provider)
    first = browser.there(browser.begin())
    assert browser.back(first).status_code == 200
    second = browser.there(browser.begin())
    refused(browser.back(changed(second, code=words_of(first)["code"])))


def test_an_answer_that_names_another_provider_or_none_lets_nobody_in(stored, provider, victim):
    browser = Browser(stored, provider)
    for issuer in ("https://evil.example", provider.issuer + "/", "", None):
        refused(browser.back(changed(browser.there(browser.begin()), iss=issuer)))
    assert browser.log_in().status_code == 200


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/x\"><script>alert(1)</script>",
        "/x\r\nset-cookie: a=b",
        "",
        "/" + "x" * 600,
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_place_than_this_origin(stored, provider, to):
    answer = Browser(stored, provider).client.get(f"{server_of(stored)}/api/v1/session/oidc", params={"to": to})
    assert answer.status_code == 422


def test_who_asks_cannot_change_where_the_provider_sends_back_to(stored, provider):
    browser = Browser(stored, provider)
    own = f"{browser.api}/session/oidc/callback"
    for header in ({"host": "evil.example"}, {"x-forwarded-host": "evil.example"}, {"forwarded": "host=evil.example"}):
        answer = browser.client.get(f"{browser.api}/session/oidc", headers=header)
        assert words_of(answer.headers["location"])["redirect_uri"] == own
    assert browser.client.get(f"{browser.api}/session/oidc", params={"redirect_uri": "https://evil"}).status_code == 422


def test_a_refusal_of_the_provider_lets_nobody_in_and_its_words_are_not_repeated(stored, provider):
    provider.before_the_browser(None)
    browser = Browser(stored, provider)
    place = browser.there(browser.begin())
    assert words_of(place)["error"] == "access_denied"
    answer = browser.back(changed(place, error_description="<script>"))
    refused(answer)
    assert "script" not in answer.text


def test_a_flood_of_begun_logins_is_bounded(stored, provider, victim):
    browser = Browser(stored, provider)
    for _ in range(PER_PLACE_MAX + 10):
        browser.begin()
    assert len(stored.house.oidc.pending) <= PER_PLACE_MAX
    assert browser.log_in().status_code == 200


def test_bad_codes_have_to_wait_as_bad_passwords_do(provider):
    with door(provider) as api:
        api.house.login._places._settings = PasswordSettings(free_failures=2)
        browser = Browser(api, provider)
        sits(provider, api.operator("viewer"))

        def guess() -> int:
            return browser.back(changed(browser.there(browser.begin()), code="guess")).status_code

        answers = [guess() for _ in range(6)]
        assert answers[:2] == [401, 401]
        assert answers[-1] == 429


@pytest.mark.parametrize("broken", ["ca", "secret", "issuer"])
def test_a_provider_that_is_not_what_it_was_agreed_to_be_lets_nobody_in(provider, tmp_path, broken):
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("not the secret\n")
    settings = {
        "ca": f"ca_file={ssl.get_default_verify_paths().cafile or '/etc/ssl/certs/ca-certificates.crt'}",
        "secret": f"client_secret_file={wrong}",
        "issuer": f"issuer={provider.issuer}/",
    }
    with door(provider, settings[broken]) as api:
        sits(provider, api.operator("viewer"))
        browser = Browser(api, provider)
        if broken == "secret":
            refused(browser.log_in())
        else:
            answer = browser.client.get(f"{browser.api}/session/oidc")
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:bartizan:problem:provider-unavailable"


def test_a_provider_that_is_down_lets_nobody_in_and_other_logins_go_on(tmp_path):
    with OpenIdProvider(tmp_path, 60, (), tuple(map(callback, PORTS))) as gone, door(gone) as api:
        operator = api.operator("viewer")
        sits(gone, operator)
        browser = Browser(api, gone)
        place = browser.there(browser.begin())
        gone.stop()
        answer = browser.back(place)
        assert answer.status_code == 503
        assert COOKIE not in "".join(answer.headers.get_list("set-cookie"))
        refused(browser.back(place))
        words = {"operator": operator.name, "password": PASSWORD, "keep": "token"}
        assert api.open().post("/session", json=words).status_code == 201


def test_without_a_provider_there_is_none_to_log_in_at():
    with serving(None) as api:
        refusal = api.open().get("/session/oidc")
        assert refusal.status_code == 422
        assert "[api.oidc]" in refusal.json()["detail"]


def test_nothing_secret_is_told(stored, provider, victim):
    seen: list[dict[str, Any]] = []
    real = stored.broker._running.broker.journal.note

    def note(what: str, **fields: object) -> None:
        seen.append({"event": what, **fields})
        real(what, **fields)

    stored.broker._running.broker.journal.note = note
    try:
        browser = Browser(stored, provider)
        place = browser.there(browser.begin())
        browser.back(place)
        refused(browser.back(place))
    finally:
        del stored.broker._running.broker.journal.note
    assert [one["event"] for one in seen] == ["operator_logged_in", "operator_refused"]
    assert seen[0]["operator"] == victim.name
    told = json.dumps(seen)
    assert provider.secret not in told
    assert words_of(place)["code"] not in told
    assert words_of(place)["state"] not in told
    shown = stored.as_("security").get("/config").text
    assert provider.secret not in shown


# ---- a provider that lies ---------------------------------------------------------------------------


LIES: dict[str, Callable[[Liar, dict[str, Any]], bytes]] = {
    "alg none": lambda _, said: unsigned({"alg": "none"}, said),
    "no signature": lambda liar, said: signed(liar.key, "ES256", said).rpartition(b".")[0] + b".",
    "a key that is not published": lambda _, said: signed(ec(), "ES256", said),
    "another issuer": lambda liar, said: signed(liar.key, "ES256", said | {"iss": "https://id.example"}),
    "another audience": lambda liar, said: signed(liar.key, "ES256", said | {"aud": "another"}),
    "another nonce": lambda liar, said: signed(liar.key, "ES256", said | {"nonce": "another"}),
    "over": lambda liar, said: signed(liar.key, "ES256", said | {"exp": int(time.time()) - 60}),
}


def test_a_provider_that_lies_lets_nobody_in(provider, tmp_path):
    liar = Liar(tmp_path)
    named = (f"issuer={liar.issuer}", f"ca_file={liar.ca_file}", f"client_secret_file={liar.secret_file}")
    try:
        with door(provider, *named) as api:
            operator = api.operator("admin")

            def came(make: Callable[[Liar, dict[str, Any]], bytes]) -> httpx2.Response:
                browser = Browser(api, provider)
                asked = words_of(browser.begin())
                said = {"iss": liar.issuer, "aud": "console", "sub": "x", "nonce": asked["nonce"]}
                liar.token = make(liar, said | {"exp": int(time.time()) + 60, "preferred_username": operator.name})
                return browser.back(f"{asked['redirect_uri']}?{urlencode({'code': 'x', 'state': asked['state']})}")

            for make in LIES.values():
                refused(came(make))
            assert came(lambda liar, said: signed(liar.key, "ES256", said)).status_code == 200, "the truth"
    finally:
        liar.close()


# ---- the command line -------------------------------------------------------------------------------


class Terminal:
    """What a command line does, step by step."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.verifier, self.state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        made = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        self.words = {"port": 40_000, "challenge": made, "state": self.state}

    def code_brought(self) -> dict[str, str]:
        """What the browser brings to its port."""
        place = self.browser.location(self.browser.log_in(**self.words))
        assert place.startswith("http://127.0.0.1:40000/?")
        return words_of(place)

    def redeem(self, code: str, verifier: str | None = None) -> httpx2.Response:
        shown = {"code": code, "verifier": self.verifier if verifier is None else verifier}
        return self.browser.client.post(f"{self.browser.api}/session/oidc/token", json=shown)


def test_a_command_line_gets_its_token_once_and_the_browser_no_cookie(stored, provider, victim):
    browser = Browser(stored, provider)
    terminal = Terminal(browser)
    brought = terminal.code_brought()
    assert brought["state"] == terminal.state
    assert COOKIE not in browser.client.cookies
    opened = terminal.redeem(brought["code"])
    assert opened.status_code == 201
    assert opened.json()["actor"] == victim.name
    token = {"authorization": f"Bearer {opened.json()['token']}"}
    assert stored.open(headers=token).get("/session").status_code == 200
    refused(terminal.redeem(brought["code"]))


def test_a_code_for_a_command_line_is_good_for_nobody_without_the_secret_nor_after_a_minute(stored, provider, victim):
    terminal = Terminal(Browser(stored, provider))
    for verifier in ("", "A" * 64, terminal.words["challenge"]):
        code = terminal.code_brought()["code"]
        refused(terminal.redeem(code, str(verifier)))
        refused(terminal.redeem(code))
    code, real = terminal.code_brought()["code"], stored.house.oidc.handovers._now
    stored.house.oidc.handovers._now = lambda: real() + HANDOVER_ENDS_AFTER
    try:
        refused(terminal.redeem(code))
    finally:
        stored.house.oidc.handovers._now = real


def test_a_command_line_is_told_of_a_refusal_at_its_own_port_alone(stored, provider):
    terminal = Terminal(Browser(stored, provider))
    sits(provider, "nobody-here")
    assert terminal.code_brought() == {"error": "login-refused", "state": terminal.state}
    for more in ({"port": 80}, {"port": 65_536}, {"port": "x"}, {"host": "evil.example"}, {"challenge": None}):
        words = {name: value for name, value in (terminal.words | more).items() if value is not None}
        answer = terminal.browser.client.get(f"{terminal.browser.api}/session/oidc", params=words)
        assert answer.status_code == 422


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command line keeps its logins."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "bartizan/logins.json"


@pytest.fixture
def walking(stored: Api, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A browser that the command line opens: it goes the whole way, to the port of the command line at last."""
    ended: list[Any] = []
    threads: list[threading.Thread] = []

    def walk(place: str) -> None:
        browser = Browser(stored, provider)
        back = browser.location(browser.back(browser.there(browser.location(browser.client.get(place)))))
        # Whatever else comes to that port is not taken for the answer.
        stranger = httpx2.get(changed(back, state="x", code="x"), trust_env=False)
        ended.extend([stranger.status_code, httpx2.get(back, trust_env=False).status_code])

    def opened(place: str) -> bool:
        threads.append(threading.Thread(target=walk, args=(place,)))
        threads[-1].start()
        return True

    monkeypatch.setattr("webbrowser.open", opened)
    yield ended
    for thread in threads:
        thread.join(30)


def test_bartizan_login_by_browser(stored, victim, walking, home, capsys):
    server = server_of(stored)
    assert run(["login", server, "--oidc", "--ca-file", stored.broker.ca_file]) == 0
    out = capsys.readouterr()
    assert f"logged in at {server} as {victim.name}: viewer, security, admin" in out.out
    assert f"{server}/api/v1/session/oidc?port=" in out.err
    assert walking == [404, 200]
    kept = json.loads(home.read_text())[server]
    assert kept["token"].startswith("bzs_")
    assert kept["oidc"] is True
    # What asks for a recent proof asks for another login, not for a password.
    (login,) = stored.house.sessions.of(str(victim.name))

    async def age() -> None:
        (key,) = [key for key, one in stored.house.sessions._by_hash.items() if one.id == login.id]
        stored.house.sessions._by_hash[key] = replace(login, proved_at=LONG_AGO)

    stored.run(age())
    assert run(["policy", "rollback", "1", "--yes", "--server", server]) == 1
    assert f"a recent proof: bartizan login {server} --oidc" in capsys.readouterr().err
    assert run(["logout", server]) == 0
    assert stored.house.sessions.of(str(victim.name)) == []


def test_bartizan_login_by_browser_says_when_it_is_refused(stored, provider, walking, home, capsys):
    sits(provider, "nobody-here")
    assert run(["login", server_of(stored), "--oidc", "--ca-file", stored.broker.ca_file]) == 1
    assert "the login was refused" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("words", [["--oidc", "--operator", "x"], ["--oidc", "--code", "1"], ["--no-browser"]])
def test_bartizan_login_by_browser_asks_for_nothing_that_the_provider_says(words, capsys):
    assert run(["login", "https://localhost:1", *words]) != 0
    assert "--oidc" in capsys.readouterr().err
