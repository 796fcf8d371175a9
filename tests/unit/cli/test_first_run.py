"""The first run: made once, completed after a crash, never made anew; and the clients' bundles work."""

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bartizan.cli import first_run
from bartizan.cli.first_run import prepare
from bartizan.config.engine import engine_config
from bartizan.config.layout import DataDirectory
from bartizan.config.load import load_settings
from bartizan.errors import BartizanError, CertificateUnusable, ConfigurationError, StoreUnavailable
from bartizan.identity.passwords import verify_password
from bartizan.model.credential import PasswordCredential
from bartizan.model.principal import Identity
from bartizan.pki.bundle import Bundle
from bartizan.policy import check
from bartizan.store.sqlite import SqliteIdentityStore

NOW = datetime.now(UTC)


def identities(data: DataDirectory) -> dict[str, Identity]:
    async def read() -> dict[str, Identity]:
        store = await SqliteIdentityStore.open(data.identities)
        found = {str(one.name): one for one in await store.page()}
        await store.close()
        return found

    return asyncio.run(read())


def run(root: Path, at: datetime = NOW, **more):
    return asyncio.run(prepare(root, at=at, **more))


def test_an_empty_directory_becomes_a_whole_broker(tmp_path):
    prepared = run(tmp_path / "data")
    data = prepared.data
    assert prepared.first
    assert stat.S_IMODE(data.root.stat().st_mode) == 0o700
    for secret in (data.ca_key, data.server_key, data.identities):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert engine_config(load_settings(data.configuration), data)["listeners"][0]["tls"]["key_pem"]
    assert check(data.policy.read_bytes(), "policy").ok
    assert {name: one.roles for name, one in identities(data).items()} == {
        "admin": ("admin",),
        "press-01": ("press",),
        "dash-01": ("dashboard",),
    }


def test_the_written_configuration_is_what_holds_without_one(tmp_path):
    assert load_settings(run(tmp_path / "data").data.configuration) == load_settings()


def test_the_administrators_secret_is_shown_once_and_only_its_hash_is_kept(tmp_path):
    prepared = run(tmp_path / "data")
    secret = prepared.administrator_secret
    assert secret
    assert secret not in repr(prepared)
    (credential,) = identities(prepared.data)["admin"].credentials
    assert isinstance(credential, PasswordCredential)
    assert credential.must_change
    assert verify_password(credential.hash, secret.encode())
    for file in prepared.data.root.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def test_a_second_run_changes_nothing_and_shows_no_secret(tmp_path):
    data = run(tmp_path / "data").data
    before = {
        file: file.read_bytes() for file in data.root.rglob("*") if file.is_file() and ("sqlite") not in file.name
    }
    people = identities(data)
    again = run(tmp_path / "data")
    assert (again.first, again.administrator_secret, again.server_certificate_renewed) == (False, None, False)
    assert {file: file.read_bytes() for file in before} == before
    assert identities(data) == people


def test_the_server_certificate_is_renewed_near_its_end(tmp_path):
    run(tmp_path / "data")
    assert run(tmp_path / "data", NOW + timedelta(days=380)).server_certificate_renewed


STEPS = (
    "write_durably",
    ("ensure_server_certificate"),
    "_make_administrator",
    "_make_demo",
    "enrol_device",
    "ensure_crl",
)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_first_run_cut_short_anywhere_is_completed_by_the_next(tmp_path, monkeypatch, step, after):
    class PowerCut(Exception):  # noqa: N818
        pass

    original = getattr(first_run, step)

    def cut(*args, **more):
        if not after:
            raise PowerCut
        made = original(*args, **more)
        if not asyncio.iscoroutine(made):
            raise PowerCut

        async def then_cut():
            await made
            raise PowerCut

        return then_cut()

    with monkeypatch.context() as patch:
        patch.setattr(first_run, step, cut)
        with pytest.raises(PowerCut):
            run(tmp_path / "data")
    prepared = run(tmp_path / "data")
    people = identities(prepared.data)
    assert prepared.first
    assert set(people) == {"admin", "press-01", "dash-01"}
    assert prepared.administrator_secret
    (credential,) = people["admin"].credentials
    assert isinstance(credential, PasswordCredential)
    assert verify_password(credential.hash, prepared.administrator_secret.encode())
    for name in ("press-01", "dash-01"):
        assert Bundle.load(prepared.data.demo / name).identity == name
        assert len(people[name].credentials) == 1


def test_a_lost_ca_is_told_not_replaced(tmp_path):
    data = run(tmp_path / "data").data
    data.ca_certificate.unlink()
    with pytest.raises(CertificateUnusable, match=r"ca\.crt cannot be read"):
        run(tmp_path / "data")
    assert not data.ca_certificate.exists()


def test_a_directory_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    mode = tmp_path.stat().st_mode
    with pytest.raises(ConfigurationError, match=r"thesis\.tex"):
        run(tmp_path)
    assert tmp_path.stat().st_mode == mode
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_data_directory(tmp_path):
    (tmp_path / "data").write_text("x")
    with pytest.raises(ConfigurationError, match="is a file"):
        run(tmp_path / "data")


def test_two_first_runs_at_once_do_not_mix(tmp_path):
    async def both():
        return await asyncio.gather(*(prepare(tmp_path / ("data"), at=NOW) for _ in range(2)), return_exceptions=True)

    made, refused = sorted(asyncio.run(both()), key=lambda one: isinstance(one, BartizanError))
    assert not isinstance(made, BaseException)
    assert made.first
    assert isinstance(refused, StoreUnavailable)
