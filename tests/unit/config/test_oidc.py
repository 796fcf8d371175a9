"""`[api.oidc]`: what it takes, and what contradicts itself."""

from pathlib import Path

import pytest

from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError

NEEDED = ("issuer=https://id.example", "client_id=console", "client_secret_file=/x")
GROUPS = ("roles_claim=groups", 'roles={ admin = ["mqtt-admins"] }')


def load(*settings: str, api: tuple[str, ...] = ()):
    return load_settings(
        None, [*(f"api.{one}" for one in api), *(f"api.oidc.{one}" for one in (*NEEDED, *settings))]
    ).api


def test_browsers_come_back_to_localhost_or_where_is_said():
    assert load().oidc_origin == "https://localhost:8444"
    assert load("origin=https://broker.example").oidc_origin == "https://broker.example"
    assert load("origin=https://broker.example", api=("bind=[::]:8444",)).oidc_origin == "https://broker.example"
    assert load_settings(None, []).api.oidc_origin is None


def test_what_is_asked_for_has_openid_first_and_once():
    oidc = load('scopes=["groups", "openid", "email"]').oidc
    assert oidc is not None
    assert oidc.scope == "openid groups email"


def test_files_are_found_beside_the_configuration(tmp_path: Path):
    file = tmp_path / "bartizan.toml"
    file.write_text(
        '[api.oidc]\nissuer = "https://id.example"\nclient_id = "c"\nclient_secret_file = "secret"\nca_file = "ca.crt"\n',
        encoding="utf-8",
    )
    oidc = load_settings(file).api.oidc
    assert oidc is not None
    assert (oidc.client_secret_file, oidc.ca_file) == (tmp_path / "secret", tmp_path / "ca.crt")


@pytest.mark.parametrize(
    ("settings", "api", "told"),
    [
        (["issuer=http://id.example"], (), "https"),
        (["issuer=https://id.example?x=1"], (), "query"),
        (["issuer=https://user@id.example"], (), "user"),
        (["origin=http://broker.example"], (), "origin"),
        (["origin=https://broker.example/path"], (), "origin"),
        ([], ("bind=[::]:8444",), "oidc.origin is missing"),
        ([], ("bind=127.0.0.1:0",), "oidc.origin is missing"),
        ([], ("bind=off",), "off"),
        (['operators="token"'], (), "roles_claim and roles"),
        (['operators="token"', GROUPS[0]], (), "roles_claim and roles"),
        ([*GROUPS], (), "takes roles from the store"),
        (['operators="token"', GROUPS[0], 'roles={ root = ["x"] }'], (), "roles"),
        (['operators="token"', GROUPS[0], "roles={ admin = [] }"], (), "roles"),
        (['algorithms=["HS256"]'], (), "HS256"),
        (['algorithms=["none"]'], (), "algorithms"),
        (['scopes=["a b"]'], (), "one word"),
        (["client_secret=x"], (), "client_secret"),
    ],
)
def test_what_contradicts_itself_is_told_at_the_start(settings, api, told):
    with pytest.raises(ConfigurationError, match=told):
        load(*settings, api=api)
