"""Which authentication a listener may ask for, and what is said to who asks for what cannot be."""

import pytest

from bartizan.config.authenticators import KINDS
from bartizan.config.danger import dangers
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError

TOKENS = 'kind = "jwt", issuer = "https://id.example", audience = ["bartizan"], jwks_url = "https://id.example/certs"'

FILE = """\
[listeners.mqtts]
bind = "127.0.0.1:8883"
authentication = ["certificate", "password", "plant-tokens", "certificate+plant-tokens"]

[authenticators.plant-tokens]
kind = "jwt"
issuer = "https://id.example"
audience = ["bartizan"]
jwks_file = "keys/jwks.json"
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        file = tmp_path / "bartizan.toml"
        file.write_text(text)
        return file

    return write


def test_entries_are_names_or_several_joined_by_plus(written, tmp_path):
    settings = load_settings(written(FILE))
    assert settings.listeners["mqtts"].proofs == (
        ("certificate",),
        ("password",),
        ("plant-tokens",),
        ("certificate", "plant-tokens"),
    )
    # Paths in a file are relative to it.
    assert getattr(settings.authenticators["plant-tokens"], "jwks_file") == tmp_path / "keys/jwks.json"  # noqa: B009


def test_without_a_word_a_listener_has_the_default():
    assert load_settings().listeners["mqtts"].proofs is None


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('"password", ', '"password", "password", ', "same entry twice"),
        ("certificate+plant-tokens", "certificate+certificate", "twice"),
        ("certificate+plant-tokens", "certificate+", "write the name"),
        ("certificate+plant-tokens", "Certificate", "write the name"),
        ('"plant-tokens", "certificate+plant-tokens"', '"certificate+password"', "named by no listener"),
        ("[authenticators.plant-tokens]", "[authenticators.password]", "built in"),
        ("[authenticators.plant-tokens]", "[authenticators.Plant]", "lower-case letter"),
        ('kind = "jwt"', 'kind = "jwt2"', "jwt2"),
        ('kind = "jwt"', "", "kind"),
        ('issuer = "https://id.example"', "", r"'issuer' is missing.*add issuer to authenticators.plant-tokens"),
        ('audience = ["bartizan"]', "audience = []", "audience"),
        ('jwks_file = "keys/jwks.json"', 'jwks_fil = "keys/jwks.json"', "did you mean 'jwks_file'"),
    ],
)
def test_a_mistake_is_told_with_its_place(written, was, becomes, said):
    assert was in FILE
    with pytest.raises(ConfigurationError, match=said) as told:
        load_settings(written(FILE.replace(was, becomes)))
    assert "bartizan.toml" in str(told.value)


@pytest.mark.parametrize("why", ['danger_plaintext = "lab"', 'client_certificates = "off"'])
def test_a_certificate_is_not_asked_for_where_none_can_come(written, why):
    text = FILE.replace('bind = "127.0.0.1:8883"', f'bind = "127.0.0.1:8883"\n{why}')
    with pytest.raises(ConfigurationError, match='authentication names "certificate"'):
        load_settings(written(text))


def test_a_danger_of_an_authenticator_is_listed_with_its_reason_and_url():
    table = TOKENS.replace('jwks_url = "https:', 'jwks_url = "http:') + ', danger_plaintext_jwks = "lab bench 4"'
    words = [f"authenticators.tokens={{{table}}}", 'listeners.mqtts.authentication=["tokens"]']
    (risk,) = dangers(load_settings(None, words))
    assert (risk.setting, risk.reason) == ("authenticators.tokens.danger_plaintext_jwks", "lab bench 4")
    assert risk.where == "http://id.example/certs"


def test_every_path_of_every_kind_is_resolved():
    for kind in KINDS.values():
        paths = {name for name in kind.model_fields if name.endswith("_file")}
        assert paths == set(getattr(kind, "PATHS"))  # noqa: B009


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('kind = "scram", iterations = 4095', "iterations"),
        ('kind = "scram", iterations = 1000001', "iterations"),
        ('kind = "scram", mechanisms = []', "mechanisms"),
        ('kind = "scram", mechanisms = ["SCRAM-SHA-1"]', "mechanisms"),
        ('kind = "scram", channel_binding = "off"', "channel_binding"),
    ],
)
def test_scram_is_not_made_weaker_than_its_standard(table, said):
    with pytest.raises(ConfigurationError, match=said):
        load_settings(None, [f"authenticators.keys={{{table}}}", 'listeners.mqtts.authentication=["keys"]'])


def test_a_channel_is_not_required_where_there_is_none(written):
    text = """
[listeners.mqtts]
bind = "127.0.0.1:1883"
danger_plaintext = "lab"
authentication = ["keys"]

[authenticators.keys]
kind = "scram"
channel_binding = "required"
"""
    with pytest.raises(ConfigurationError, match="nobody could ever prove it"):
        load_settings(written(text))
    assert load_settings(written(text.replace("required", "offered")))
