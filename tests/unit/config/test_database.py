"""The address of the identity database: no password in it, and no way out of the machine without verified TLS."""

from pathlib import Path

import pytest

from bartizan.config.files import read_secret
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError


def address(text: str, *more: str) -> str | None:
    return load_settings(None, [f'store.identities="{text}"', *more]).store.identities


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://bartizan@localhost/bartizan",
        "postgresql://bartizan@127.0.0.1:5433/bartizan?sslmode=prefer",
        "postgresql://bartizan@/bartizan?host=/run/postgresql",
        "postgresql://bartizan@db.example/bartizan?sslmode=verify-ca",
    ],
)
def test_an_address_is_taken_as_it_is(text):
    assert address(text) == text


def test_to_another_machine_tls_is_verified_without_being_asked_for():
    assert address("postgresql://u@db.example/b") == "postgresql://u@db.example/b?sslmode=verify-full"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("postgresql://u:secret@db.example/b", "identities_password_file"),
        ("postgresql://u@db.example/b?sslmode=prefer", "verify-full"),
        ("postgresql://u@db.example/b?sslmode=disable", "verify-full"),
        ("postgresql://u@localhost/b?host=db.example&sslmode=disable", "verify-full"),
        ("postgresql://u@db.example/b?sslmod=verify-full", "'sslmod'"),
        ("postgresql://u@db.example", "postgresql://USER@HOST"),
        ("mysql://u@db.example/b", "postgresql://USER@HOST"),
        ("identities.sqlite", "postgresql://USER@HOST"),
        ("postgresql://u@db.example:port/b", "no database address"),
    ],
)
def test_an_address_that_is_wrong_or_unsafe_is_refused(text, says, tmp_path: Path):
    file = tmp_path / "bartizan.toml"
    file.write_text(f'[store]\nidentities = "{text}"\n')
    with pytest.raises(ConfigurationError, match=says) as refused:
        load_settings(file)
    assert "secret" not in str(refused.value)


def test_a_password_file_without_a_database_has_no_effect_and_is_refused():
    with pytest.raises(ConfigurationError, match="identities_password_file needs identities"):
        load_settings(None, ["store.identities_password_file=pw"])


def test_a_password_file_is_beside_the_file_that_names_it(tmp_path: Path):
    file = tmp_path / "bartizan.toml"
    file.write_text('[store]\nidentities = "postgresql://u@localhost/b"\nidentities_password_file = "pw"\n')
    assert load_settings(file).store.identities_password_file == tmp_path / "pw"


def test_a_secret_is_the_first_line_of_a_file_that_nobody_else_reads(tmp_path: Path):
    file = tmp_path / "pw"
    file.write_text("a secret \nremark\n")
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 0600"):
        read_secret(file, "the password file")
    file.chmod(0o600)
    assert read_secret(file, "the password file") == "a secret "
    file.write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        read_secret(file, "the password file")
