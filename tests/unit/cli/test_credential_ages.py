"""What `credential list --expiring`, `credential pin` and `doctor` say of certificates and ages."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bartizan.broker.crls import kept_at
from bartizan.cli.app import run
from bartizan.cli.first_run import prepare
from bartizan.config.layout import DataDirectory
from bartizan.identity.register import Register, new_identity, password_credential
from bartizan.store.sqlite import SqliteIdentityStore
from tests.authority import Issuer, now

Tell = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    asyncio.run(prepare(root, at=datetime.now(UTC)))
    return root


@pytest.fixture
def told(data: Path, capsys: pytest.CaptureFixture[str]) -> Tell:
    def tell(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert run([*words, "--data", str(data), "--json"]) == code
        out = capsys.readouterr()
        return json.loads(out.out) if code == 0 else out.err

    return tell


def holder(data: Path, name: str, days_old: int, role: str = "plain") -> str:
    """An identity with a password of this age; the password's id."""
    secret = password_credential("correct horse battery", at=now() - timedelta(days=days_old))
    identity = replace(new_identity(name, at=now(), roles=[role]), credentials=(secret,))

    async def add() -> None:
        store = await SqliteIdentityStore.open(DataDirectory(data).identities)
        try:
            await Register(store).add(identity)
        finally:
            await store.close()

    asyncio.run(add())
    return secret.id


def findings(told: Tell, about: str, *words: str) -> list[str]:
    return [one["what"] for one in told("doctor", *words)["findings"] if about in one["what"]]


def test_what_is_too_old_or_nearly_is_listed_and_named_by_doctor(data, told):
    (data / "policy.toml").write_text("[roles.strict]\ncredentials = { password_days_max = 30 }\n[roles.plain]\n")
    ids = {name: holder(data, name, days) for name, days in (("young", 10), ("near", 85), ("old", 100))}
    strict = holder(data, "strict", 10, "strict")
    wanted = {ids["near"], ids["old"], strict}
    listed = {one["id"] for one in told("credential", "list", "--expiring")}
    assert wanted <= listed
    assert ids["young"] not in listed
    assert findings(told, "young") == []
    [near] = findings(told, "of near")
    assert "too old on" in near
    assert "in 4 days" in near or "in 5 days" in near
    assert "too old since" in findings(told, "of old")[0]
    assert "proves nothing" in findings(told, "of old", "--set", "credentials.ages=enforce")[0]
    # A new one beside it, and nobody is warned.
    told("credential", "rotate", "old", "--kind", "password")
    assert findings(told, "of old") == []


def test_a_foreign_certificate_is_put_on_record_once(data, told, tmp_path):
    holder(data, "gear", 1)
    ca = Issuer.root("plant CA")
    device = ca.issue("gear")
    file, _ = device.write(tmp_path)
    made = told("credential", "pin", "gear", file, "--note", "line 3")
    assert made["fingerprint_sha256"] == device.fingerprint
    assert made["issuer"] == "CN=plant CA"
    assert "on record already" in told("credential", "pin", "gear", file, code=2)
    ca_file, _ = ca.write(tmp_path)
    assert "a CA's certificate" in told("credential", "pin", "gear", ca_file, code=2)
    ended, _ = ca.issue("gear", begins=now() - timedelta(days=90)).write(tmp_path)
    assert "ended on" in told("credential", "pin", "gear", ended, code=2)
    kinds = [one["kind"] for one in told("credential", "list", "gear")]
    assert kinds == ["password", "certificate"]


def test_a_foreign_certificate_of_which_only_serial_number_and_issuer_are_known_is_put_on_record(data, told, tmp_path):
    holder(data, "gear", 1)
    ca = Issuer.root("plant CA")
    ca_file, _ = ca.write(tmp_path)
    made = told("credential", "pin", "gear", "--serial", "0F:3a", "--issuer-file", ca_file)
    assert (made["serial_hex"], made["issuer"], made["fingerprint_sha256"], made["not_after"]) == (
        "0f3a",
        "CN=plant CA",
        "",
        None,
    )
    again = ("credential", "pin", "gear", "--serial", "f3a", "--issuer", "CN=plant CA")
    assert "on record already" in told(*again, code=2)
    other = told("credential", "pin", "gear", "--serial", "0xF3A", "--issuer", "emailAddress=a@b,CN=Pl\\C3\\A4nt")
    assert other["issuer"] == "1.2.840.113549.1.9.1=a@b,CN=Plänt"
    listed = told("credential", "list", "gear")
    assert [one["ends"] for one in listed if one["kind"] == "certificate"] == ["", ""]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--serial", "0f"], "one of --issuer and --issuer-file"),
        (["--issuer", "CN=x"], "say --serial"),
        (["--serial", "0g", "--issuer", "CN=x"], "not hexadecimal"),
        (["--serial", "-1", "--issuer", "CN=x"], "not hexadecimal"),
        (["--serial", "f" * 41, "--issuer", "CN=x"], "at most 20 octets"),
        (["--serial", "0f", "--issuer", "CN=x, O=y"], "without a space"),
        (["--serial", "0f", "--issuer", ""], "is no name"),
        (["gear.crt", "--serial", "0f", "--issuer", "CN=x"], "or else say --serial"),
        ([], "or else say --serial"),
    ],
)
def test_what_names_no_certificate_of_an_issuer_is_refused(data, told, words, said):
    holder(data, "gear", 1)
    assert said in told("credential", "pin", "gear", *words, code=2)


def test_an_end_s_certificate_is_no_issuer(data, told, tmp_path):
    holder(data, "gear", 1)
    file, _ = Issuer.root("plant CA").issue("gear").write(tmp_path)
    assert "no CA's certificate" in told("credential", "pin", "gear", "--serial", "f", "--issuer-file", file, code=2)


def test_doctor_says_how_old_the_list_of_each_url_is(data, told, tmp_path):
    ca = Issuer.root()
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    url = "http://pki.example/ca.crl"
    words = ["--set", "listeners.mqtts.bind=127.0.0.1:1", "--set", f"listeners.mqtts.client_ca_file={tmp_path}/ca.pem"]
    words += ["--set", f'listeners.mqtts.crl_urls=["{url}"]']
    assert "was never fetched" in findings(told, url, *words)[0]
    kept = kept_at(DataDirectory(data), url)
    kept.parent.mkdir()
    kept.write_bytes(ca.crl(made=now() - timedelta(hours=5)))
    assert "5 hours old and counts until" in findings(told, url, *words)[0]
    kept.write_bytes(ca.crl(ends=now() - timedelta(minutes=1), made=now() - timedelta(days=1)))
    assert "counts for crl_leeway_s more" in findings(told, url, *words)[0]
    kept.write_bytes(ca.crl(ends=now() - timedelta(hours=2), made=now() - timedelta(days=1)))
    out = [*words, "--set", "listeners.mqtts.crl_leeway_s=60"]
    assert run(["doctor", "--data", str(data), *out]) == 1
