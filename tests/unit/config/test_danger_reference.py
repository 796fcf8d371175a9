"""Every risk is listed with its reason; every setting is documented; the engine gets what was set."""

import json
from pathlib import Path

import pytest

from bartizan.config.danger import EFFECTS, dangers
from bartizan.config.engine import engine_config
from bartizan.config.layout import DataDirectory
from bartizan.config.load import load_settings
from bartizan.config.reference import SECTIONS, settings_page
from bartizan.errors import ConfigurationError


def test_safe_settings_have_no_danger():
    assert dangers(load_settings()) == ()


def test_every_danger_in_force_is_listed_with_its_reason():
    settings = load_settings(
        None,
        [
            ("listeners.mqtts.danger_plaintext='lab bench 4'"),
            ("listeners.wss.danger_anonymous='a demo'"),
            "http.bind=0.0.0.0:1",
            "http.danger_public_http='firewalled'",
        ],
    )
    assert [(risk.setting, risk.reason) for risk in dangers(settings)] == [
        ("listeners.mqtts.danger_plaintext", "lab bench 4"),
        ("listeners.wss.danger_anonymous", "a demo"),
        ("http.danger_public_http", "firewalled"),
    ]


def test_every_danger_key_of_the_schema_has_its_effect():
    keys = {name for _, model in SECTIONS for name in model.model_fields if name.startswith("danger_")}
    assert keys == set(EFFECTS)


def test_every_setting_says_what_it_does():
    for _, model in SECTIONS:
        for name, field in model.model_fields.items():
            assert field.description, name


def test_the_settings_page_is_what_the_code_says(root: Path):
    page = (root / "docs/reference/settings.md").read_text()
    assert page == settings_page(), "run: python -m bartizan.config.reference > docs/reference/settings.md"


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path)
    directory.pki.mkdir()
    for file, text in (
        (directory.ca_certificate, "CA"),
        (directory.server_certificate, "CERT"),
        (directory.server_key, "KEY"),
        (directory.crl, "CRL"),
    ):
        file.write_text(text)
    return directory


def test_the_engine_gets_plain_json_with_the_files_in_it(data):
    settings = load_settings(
        None, ["listeners.wss.limits.inflight_max=3", "listeners.mqtts.client_certificates=required"]
    )
    config = json.loads(json.dumps(engine_config(settings, data)))
    mqtts, wss = config["listeners"]
    assert (mqtts["name"], mqtts["bind"], mqtts["anonymous"]) == ("mqtts", "[::]:8883", False)
    assert mqtts["tls"] == {
        "chain_pem": "CERT",
        "key_pem": "KEY",
        "client_roots_pem": "CA",
        "crls_pem": ["CRL"],
        "client_certificates": "required",
        "client_chain": False,
        "tls_min": "1.2",
        "stale_crls": False,
        "unknown_revocation": False,
    }
    assert wss["limits"]["inflight_max"] == 3
    assert mqtts["limits"]["inflight_max"] == 64
    assert config["store"]["path"] == str(data.store)


def test_without_tls_no_key_is_handed_over(data):
    settings = load_settings(None, [("listeners.mqtts.danger_plaintext='lab bench'"), "listeners.wss.bind=unix:/run/x"])
    assert [listener["tls"] for listener in engine_config(settings, data)["listeners"]] == [None, None]


def test_without_client_certificates_no_root_is_trusted(data):
    settings = load_settings(None, ["listeners.mqtts.client_certificates=off"])
    tls = engine_config(settings, data)["listeners"][0]["tls"]
    assert (tls["client_roots_pem"], tls["crls_pem"]) == ("", [])


def test_a_missing_certificate_file_is_told_by_name(data):
    data.server_key.unlink()
    with pytest.raises(ConfigurationError, match=r"key file does not exist.*server\.key"):
        engine_config(load_settings(), data)
