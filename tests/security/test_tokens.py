"""Tokens that somebody made up, changed, pointed elsewhere or kept too long open nothing, and break nothing."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bartizan.authn import Chain, ConnectRequest, Verdict, default_chain
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError
from bartizan.identity.register import Register, new_identity
from bartizan.model.principal import IdentityState
from bartizan.model.reason import ReasonCode
from bartizan.store.memory import MemoryIdentityStore
from tests.conformance.packets import v5, v311
from tests.conformance.received import Connack, Disconnect
from tests.conformance.wire import Wire
from tests.security.party import PLANT, Party, party, tls_stream
from tests.unit.authn.issuer import ISSUER, b64, claims, ec, jwks, okp, rsa, sealed, signed, unsigned

RSA, EC, OKP = rsa(), ec(), okp()
SECRET = b"thirty-two bytes, agreed upon with the issuer"
METHOD = "OAUTH2-JWT"
NOT_AUTHORIZED = ReasonCode.NOT_AUTHORIZED
EXPIRED = 0xA0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "jwks.json"
    file.write_bytes(jwks(RSA, EC, OKP))
    return file


def configured(source: str, more: str = "") -> str:
    return f'authenticators.tokens={{kind = "jwt", issuer = "{ISSUER}", audience = ["bartizan"], {source}{more}}}'


class Door:
    """A chain that takes tokens and passwords, and remembers which passwords were looked at."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    @classmethod
    def of(cls, source: str, more: str = "") -> "Door":
        store = MemoryIdentityStore()

        async def fill() -> None:
            await Register(store).add(new_identity("press-01", at=datetime.now(UTC), roles=["press"]))
            await Register(store).add(new_identity("retired", at=datetime.now(UTC)))
            await Register(store).set_state("retired", IdentityState.DISABLED)

        asyncio.run(fill())
        words = ['listeners.mqtts.authentication=["certificate", "password", "tokens"]', configured(source, more)]
        return cls(default_chain(load_settings(None, words), store))

    def ask(
        self, token: bytes, *, by_auth: bool = False, user_name: str | None = None, client_id: str = "press-01"
    ) -> Verdict:
        request = ConnectRequest(client_id, "mqtts", "192.0.2.1")
        if by_auth:
            return asyncio.run(self._ask(replace(request, authentication_method=METHOD, authentication_data=token)))
        return asyncio.run(self._ask(replace(request, user_name=user_name, password=token)))

    async def _ask(self, request: ConnectRequest) -> Verdict:
        try:
            return await self.chain.decide(request)
        finally:
            await self.chain.aclose()

    def refuses(self, token: bytes, why: str = "", **more: Any) -> None:
        for by_auth in (False, True):
            verdict = self.ask(token, by_auth=by_auth, **more)
            assert not verdict.allowed
            assert verdict.reason is NOT_AUTHORIZED, verdict
            assert why in verdict.why
            assert token.decode(errors="replace") not in repr(verdict)


@pytest.fixture
def door(keys: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    def never(_stored: str, _password: bytes) -> bool:
        raise AssertionError("a token was hashed as a password")

    monkeypatch.setattr("bartizan.identity.hashes.verify", never)
    return Door.of(f'jwks_file = "{keys}"')


@pytest.mark.parametrize(
    ("key", "alg"),
    [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (RSA, "PS512"), (EC, "ES256"), (OKP, "EdDSA"), (OKP, "Ed25519")],
)
@pytest.mark.parametrize("by_auth", [False, True])
def test_a_good_token_opens_and_its_end_is_the_end(door, key, alg, by_auth):
    said = claims()
    verdict = door.ask(signed(key, alg, said), by_auth=by_auth)
    assert verdict.principal is not None, verdict.why
    assert (verdict.principal.identity, verdict.principal.roles, verdict.principal.method) == (
        "press-01",
        ("press",),
        "jwt",
    )
    assert verdict.expires_at == datetime.fromtimestamp(said["exp"] + 30, UTC)
    assert (verdict.managed, verdict.remembered_s) == (True, 0)


# ---- signatures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "HS256", "ES256K", "RSA1_5", "dir"])
@pytest.mark.parametrize("signature", [b"", b"x"])
def test_no_algorithm_but_those_named_is_an_algorithm(door, name, signature):
    door.refuses(unsigned({"alg": name, "kid": "rsa"}, claims(), signature), "algorithm is not accepted")


@pytest.mark.parametrize("alg", [None, 7, ["RS256"], {"RS256": 1}, True])
def test_an_algorithm_that_is_no_name_is_none(door, alg):
    door.refuses(unsigned({"alg": alg, "kid": "rsa"}, claims(), b"x"))


def test_a_public_key_is_no_secret(door, keys):
    for material in (RSA.as_pem(private=False), RSA.as_der(private=False), keys.read_bytes()):
        for kid in ("rsa", None):
            door.refuses(sealed(material, kid=kid), "algorithm is not accepted")


def test_with_a_secret_a_public_key_is_no_secret_either(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    file.chmod(0o600)
    door = Door.of(f'secret_file = "{file}", algorithms = ["HS256"]')
    assert door.ask(sealed(SECRET)).allowed
    door.refuses(sealed(RSA.as_pem(private=False)), "signature is wrong")
    door.refuses(signed(RSA, "RS256"), "algorithm is not accepted")
    door.refuses(sealed(SECRET, "HS512"), "algorithm is not accepted")


@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [(RSA, "RS256", "ec"), (RSA, "PS256", "okp"), (EC, "ES256", "rsa"), (EC, "ES256", "okp"), (OKP, "EdDSA", "rsa")],
)
def test_a_key_of_another_type_verifies_nothing(door, key, alg, kid):
    door.refuses(signed(key, alg, kid=kid))


@pytest.mark.parametrize(("key", "alg"), [(rsa(), "RS256"), (ec(), "ES256"), (okp(), "EdDSA")])
def test_a_stranger_who_uses_our_kid_signs_nothing(door, key, alg):
    door.refuses(signed(key, alg), "signature is wrong")


def test_a_changed_token_is_no_token(door):
    header, payload, signature = signed(EC, "ES256").split(b".")
    other = b64(json.dumps(claims(sub="admin")).encode()).encode()
    door.refuses(b".".join((header, other, signature)), "signature is wrong")
    door.refuses(b".".join((header, payload, b"")))
    door.refuses(b".".join((header, payload, b64(bytes(64)).encode())))
    door.refuses(
        b".".join((b64(json.dumps({"alg": "ES256", "kid": "ec", "x": 1}).encode()).encode(), payload, signature))
    )


def test_one_signature_has_one_spelling(door):
    header, payload, signature = signed(EC, "ES256").split(b".")
    for other in (
        signature + b"=",
        signature + b"==",
        signature + b"\n",
        b" " + signature,
        signature.replace(b"-", b"+") + b"+",
    ):
        assert not door.ask(b".".join((header, payload, other)), by_auth=True).allowed
    last = signature[-1:]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(last) ^ 1]
    assert base64.urlsafe_b64decode(signature + b"==") == base64.urlsafe_b64decode(
        signature[:-1] + bytes([twin]) + b"=="
    )
    assert not door.ask(b".".join((header, payload, signature[:-1] + bytes([twin]))), by_auth=True).allowed


# ---- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kid",
    [
        "../../../etc/passwd",
        "/dev/null",
        "rsa\x00",
        "' OR 1=1 --",
        "http://evil.example/key",
        "RSA",
        "",
        "x" * 5000,
        7,
        ["rsa"],
        {},
    ],
)
def test_a_kid_is_a_name_in_the_issuers_keys_and_nothing_else(door, kid):
    door.refuses(signed(EC, "ES256", kid=kid))
    assert not door.ask(sealed(b"", kid=kid), by_auth=True).allowed


def test_keys_that_a_token_brings_or_points_to_are_not_looked_at(door, monkeypatch):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("httpx2.AsyncClient.stream", never)
    own = ec("mine")
    brought = {
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/certificate",
        "jwk": own.as_dict(private=False),
        "x5c": ["MIIB"],
    }
    for kid in ("mine", "ec", None):
        door.refuses(signed(own, "ES256", kid=kid, **brought))
    # A genuine token that names them too is judged by the issuer's keys.
    assert door.ask(signed(EC, "ES256", **brought)).allowed


@pytest.mark.parametrize("extension", [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": True}])
def test_extensions_that_must_be_understood_are_not(door, extension):
    door.refuses(signed(EC, "ES256", **extension), "extensions")


# ---- claims ---------------------------------------------------------------------------------------

NOW = int(time.time())


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"exp": NOW - 31}, "expired"),
        ({"exp": 0}, "expired"),
        ({"exp": None}, "never ends"),
        ({"exp": str(NOW + 600)}, "no date"),
        ({"exp": True}, "no date"),
        ({"exp": [NOW + 600]}, "no date"),
        ({"exp": -1}, "out of range"),
        ({"exp": 1e300}, "out of range"),
        ({"exp": 999_999_999_999}, "out of range"),
        ({"nbf": NOW + 7200}, "not valid yet"),
        ({"nbf": "now"}, "no date"),
        ({"aud": "another"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": ["bartizan2", 7]}, "audience"),
        ({"aud": {"bartizan": 1}}, "audience"),
        ({"sub": None}, "names nobody"),
        ({"sub": 7}, "names nobody"),
        ({"sub": ["press-01"]}, "names nobody"),
        ({"sub": ""}, "identity name"),
        ({"sub": "press-01\x00"}, "contains"),
        ({"sub": "press-01/+"}, "contains"),
        ({"sub": "#"}, "contains"),
        ({"sub": "$SYS"}, "begins with"),
        ({"sub": "x" * 2000}, "characters"),
        ({"sub": "anonymous"}, "reserved"),
        ({"sub": "ghost"}, "no identity"),
        ({"sub": "retired"}, "disabled"),
        ({"sub": "pres\u0455-01"}, "no identity"),
    ],
)  # fmt: skip
def test_a_genuine_token_that_does_not_hold_is_refused(door, more, why):
    door.refuses(signed(EC, "ES256", claims(**more)), why)


@pytest.mark.parametrize(
    "more", [{"exp": NOW - 5}, {"nbf": NOW + 5}, {"aud": ["other", "bartizan"]}, {"exp": NOW + 600.5}]
)
def test_what_the_leeway_and_a_list_allow_is_allowed(door, more):
    # A date that is near is near when the test runs, not when it was collected.
    said = {name: value + int(time.time()) - NOW if name in {"exp", "nbf"} else value for name, value in more.items()}
    assert door.ask(signed(EC, "ES256", claims(**said))).allowed


@pytest.mark.parametrize("issuer", ["https://evil.example", ISSUER + "/", ISSUER.upper(), None, 7, [ISSUER]])
def test_a_token_of_another_issuer_is_none_of_ours(keys, issuer):
    verdict = Door.of(f'jwks_file = "{keys}"').ask(signed(EC, "ES256", claims(iss=issuer)), by_auth=True)
    assert verdict.reason is NOT_AUTHORIZED


def test_a_name_that_stands_twice_is_refused_whichever_one_would_count(door):
    genuine = json.dumps(claims())
    for doubled in ('"sub": "admin"', '"sub": "press-01"', f'"exp": {NOW + 9}', '"aud": "bartizan"'):
        for text in (genuine[:-1] + ", " + doubled + "}", "{" + doubled + ", " + genuine[1:]):
            assert not door.ask(signed(EC, "ES256", text.encode()), by_auth=True).allowed
    nested = genuine[:-1] + ', "a": {"b": 1, "b": 2}}'
    assert not door.ask(signed(EC, "ES256", nested.encode()), by_auth=True).allowed
    header = b'{"alg": "none", "alg": "ES256", "kid": "ec"}'
    assert not door.ask(unsigned(header, claims(), b"x"), by_auth=True).allowed


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"9" * 400, b"1e999", b'"\xff"', b"tru"])
def test_what_is_no_json_is_no_claim(door, value):
    text = json.dumps(claims())[:-1].encode() + b', "exp2": ' + value + b"}"
    verdict = door.ask(signed(EC, "ES256", text), by_auth=True)
    # An overflowing number is JSON all the same; as a date it would be refused.
    assert verdict.allowed is (value == b"1e999")


@pytest.mark.parametrize("value", [b"1e999", b"-1e999"])
def test_a_date_that_overflows_is_no_date(door, value):
    text = json.dumps(claims(exp=None))[:-1].encode() + b', "exp": ' + value + b"}"
    door.refuses(signed(EC, "ES256", text), "no date")


# ---- size -----------------------------------------------------------------------------------------


def test_a_huge_token_is_refused_unread(door, monkeypatch):
    monkeypatch.setattr("bartizan.authn.jwt.Token.parse", None)
    door.refuses(signed(EC, "ES256", claims(padding="x" * 40_000)), "too long")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_deep_json_is_refused_and_breaks_nothing(keys, opening):
    door = Door.of(f'jwks_file = "{keys}"', ", token_bytes_max = 65_535")
    text = json.dumps(claims())[:-1].encode() + b', "deep": ' + opening * 4000 + b"1"
    assert door.ask(signed(EC, "ES256", text), by_auth=True).reason is NOT_AUTHORIZED
    assert door.ask(unsigned(opening * 4000, claims()), by_auth=True).reason is NOT_AUTHORIZED


@pytest.mark.parametrize(
    "octets",
    [b"", b".", b"..", b"eyJ", b"eyJ..", b"eyJ.eyJ.", b"eyJ.!.!", b"a.b.c.d.e", b"\xff\xfe.\xff.\xff", bytes(300)],
)
def test_what_is_no_token_is_none(keys, octets):
    door = Door.of(f'jwks_file = "{keys}"')
    assert door.ask(octets, by_auth=True).reason is NOT_AUTHORIZED
    assert not door.ask(octets).allowed


# ---- who that is ----------------------------------------------------------------------------------


def test_the_client_identifier_is_bound_to_the_tokens_subject(door):
    for client_id in ("press-02", "press-0", "admin"):
        door.refuses(signed(EC, "ES256"), "Client Identifier", client_id=client_id)


@pytest.mark.parametrize(("user_name", "allowed"), [("press-01", True), ("admin", False), ("", False)])
def test_the_user_name_can_be_asked_to_be_the_subject(keys, user_name, allowed):
    door = Door.of(f'jwks_file = "{keys}"', ', user_name = "subject"')
    assert door.ask(signed(EC, "ES256"), user_name=user_name).allowed is allowed


@pytest.mark.parametrize(
    ("setting", "user_name", "allowed"),
    [
        ("", "press-01", True),
        ("", "press-01-debug", True),
        ("", "press-02", False),
        ("", "token", False),
        (', user_name = "free"', "token", True),
        (', user_name = "subject"', "press-01-debug", False),
    ],
)
def test_a_user_name_beside_a_token_is_the_identitys_unless_it_is_free(keys, setting, user_name, allowed):
    door = Door.of(f'jwks_file = "{keys}"', setting)
    verdict = door.ask(signed(EC, "ES256"), user_name=user_name)
    assert verdict.allowed is allowed
    assert allowed or "User Name" in verdict.why


OUTSIDE = (
    ', identities = "token", roles_claim = "realm.roles", roles_allowed = ["press", "dashboard"], '
    'attribute_claims = {site = "plant.site"}, identity_prefix = "kc-"'
)


@pytest.fixture
def outside(keys: Path) -> Door:
    return Door.of(f'jwks_file = "{keys}"', OUTSIDE)


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        (["press", "admin", "dashboard", "press"], ("press", "dashboard")),
        ("admin press", ("press",)),
        (["admin"], ()),
        ("administrator", ()),
        (["Press", "press ", ["press"], 7, None], ()),
        ({"press": True}, ()),
        (None, ()),
    ],
)
def test_a_token_gives_the_roles_that_are_allowed_and_no_other(outside, said, roles):
    token = signed(EC, "ES256", claims(realm={"roles": said}, plant={"site": "chicago"}))
    verdict = outside.ask(token, client_id="kc-press-01")
    assert verdict.principal is not None, verdict.why
    assert verdict.principal.roles == roles
    assert verdict.principal.attributes == (("site", "chicago"),)
    assert (verdict.principal.identity, verdict.managed) == ("kc-press-01", False)


@pytest.mark.parametrize("site", [["a"], {"a": 1}, True, "", "x" * 300, "a\nb"])
def test_an_attribute_that_is_none_is_refused(outside, site):
    token = signed(EC, "ES256", claims(plant={"site": site}))
    outside.refuses(token, client_id="kc-press-01")


def test_an_issuer_cannot_make_itself_an_identity_that_the_store_keeps(keys):
    door = Door.of(f'jwks_file = "{keys}"', OUTSIDE.replace("kc-", ""))
    for name in ("press-01", "retired", "press-01-x", "retired-x-y"):
        door.refuses(signed(EC, "ES256", claims(sub=name)), "belongs to the identity store", client_id=name)
    assert door.ask(signed(EC, "ES256", claims(sub="press")), client_id="press").allowed


@pytest.mark.parametrize(
    ("more", "allowed"),
    [
        ({}, False),
        ({"azp": "presses", "level": 3, "mfa": True}, True),
        ({"azp": ["a", "presses"], "level": 3, "mfa": True}, True),
        ({"azp": "presses", "level": 3, "mfa": 1}, False),
        ({"azp": "presses", "level": True, "mfa": True}, False),
        ({"azp": "presses", "level": "3", "mfa": True}, False),
        ({"azp": "presses2", "level": 3, "mfa": True}, False),
    ],
)
def test_required_claims_have_their_very_value(keys, more, allowed):
    door = Door.of(f'jwks_file = "{keys}"', ', required_claims = {azp = "presses", level = 3, mfa = true}')
    assert door.ask(signed(EC, "ES256", claims(**more))).allowed is allowed


# ---- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('jwks_file = "{keys}", algorithms = ["none"]', "algorithms"),
        ('jwks_file = "{keys}", algorithms = ["HS256"]', "HS algorithms need secret_file"),
        ('secret_file = "{secret}"', "secret_file is for HS"),
        ('secret_file = "{secret}", jwks_file = "{keys}", algorithms = ["HS256"]', "exactly one"),
        ('algorithms = ["RS256"]', "exactly one"),
        ('jwks_url = "http://id.example/certs"', "danger_plaintext_jwks"),
        ('jwks_url = "https://id.example/certs", danger_plaintext_jwks = "a test"', "danger_plaintext_jwks without"),
        ('jwks_url = "ftp://id.example/certs"', "write a URL"),
        ('jwks_url = "https://user:pw@id.example/certs"', "secrets are read from files"),
        ('jwks_file = "{keys}", roles_claim = "roles", roles_allowed = ["a"]', "stored"),
        ('jwks_file = "{keys}", identities = "token", roles_claim = "roles"', "belong together"),
        ('jwks_file = "{keys}", secret = "in the open"', "unknown key"),
        ('secret_file = "{open}", algorithms = ["HS256"]', "open to other users"),
        ('secret_file = "{short}", algorithms = ["HS256"]', "shorter than 32"),
        ('secret_file = "{public}", algorithms = ["HS256"]', "public key"),
        ('secret_file = "{empty}", algorithms = ["HS256"]', "is empty"),
        ('secret_file = "{missing}", algorithms = ["HS256"]', "does not exist"),
        ('jwks_file = "{secret}"', "unreadable"),
        ('jwks_file = "{missing}"', "does not exist"),
    ],
)
def test_settings_that_would_open_a_door_are_refused(tmp_path, keys, source, said):
    files = {name: tmp_path / name for name in ("secret", "open", "short", "empty", "missing", "public")}
    for name, content in (
        ("secret", SECRET),
        ("open", SECRET),
        ("short", b"x" * 31),
        ("empty", b"\n"),
        ("public", RSA.as_pem(private=False)),
    ):
        files[name].write_bytes(content)
        files[name].chmod(0o644 if name == "open" else 0o600)
    for name, file in (*files.items(), ("keys", keys)):
        source = source.replace(f"{{{name}}}", str(file))
    with pytest.raises(ConfigurationError, match=said):
        Door.of(source)


def test_no_secret_is_shown(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    file.chmod(0o600)
    door = Door.of(f'secret_file = "{file}", algorithms = ["HS256"]')
    settings = load_settings(
        None,
        ['listeners.mqtts.authentication=["tokens"]', configured(f'secret_file = "{file}", algorithms = ["HS256"]')],
    )
    shown = repr(settings) + settings.model_dump_json() + repr(door.chain.__dict__) + repr(vars(door.chain))
    assert SECRET.decode() not in shown


# ---- over the wire --------------------------------------------------------------------------------


@pytest.fixture
def plant(keys: Path) -> Iterator[Party]:
    listed = 'listeners.mqtt.authentication=["password", "tokens"]'
    with party(PLANT, listed, configured(f'jwks_file = "{keys}"', ", leeway_s = 0")) as running:
        running.enrol("press-01", "press")
        yield running


def connect(plant: Party, token: bytes, *, dialect: Any = v5, expect: int = 0) -> Wire:
    wire = Wire(tls_stream(plant), dialect=dialect)
    wire.send(dialect.connect("press-01", username="press-01", password=token))
    wire.expect(Connack, reason=expect, within_s=10)
    return wire


def test_a_session_ends_with_its_token_though_the_client_is_busy(plant):
    said = claims(exp=int(time.time()) + 6)
    new, old = connect(plant, signed(EC, "ES256", said)), connect(plant, signed(EC, "ES256", said), dialect=v311)
    new.expect(Disconnect, reason=0x8E, within_s=5)  # the second connection of this Client Identifier took over
    old.expect_close(within_s=20)
    assert time.time() >= said["exp"]
    assert plant.wait_for("disconnected", why="the credential has expired")


def test_an_expired_token_does_not_extend_a_session(plant):
    wire = Wire(tls_stream(plant))
    wire.send(
        v5.connect("press-01", props={"authentication_method": METHOD, "authentication_data": signed(EC, "ES256")})
    )
    wire.expect(Connack, reason=0, within_s=10)
    again = {"authentication_method": METHOD, "authentication_data": signed(EC, "ES256", claims(exp=NOW - 5))}
    wire.send(v5.auth(0x19, again))
    wire.expect(Disconnect, reason=0x87, within_s=10)


def test_a_token_is_in_no_log(plant):
    good, bad = signed(EC, "ES256"), signed(ec(), "ES256")
    connect(plant, good).drop()
    connect(plant, bad, expect=0x87)
    plant.wait_for("refused", why="the token's signature is wrong")
    for token in (good, bad):
        assert token.rpartition(b".")[2].decode() not in plant.text()
