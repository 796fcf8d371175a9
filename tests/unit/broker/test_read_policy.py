"""The broker's policy: a file, a directory, a pattern or a list, read whole or refused with a place."""

from pathlib import Path

import pytest

from bartizan.broker.reading import read_policy
from bartizan.config.load import load_settings
from bartizan.errors import ConfigurationError

TOPICS = '[topics."a/{x}"]\npublish = ["w"]\nsubscribe = ["r"]\n'
ROLES = '[roles.w]\nbinds = { x = "client_id" }\n[roles.r]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "policy"
    place.mkdir()
    (place / "roles.toml").write_text(ROLES)
    (place / "topics.toml").write_text(TOPICS)
    (place / "own.test.toml").write_text("no policy = 1")
    return place


def test_a_directory_a_pattern_and_a_list_are_the_policy_that_one_file_is(folder, tmp_path):
    whole = tmp_path / "whole.toml"
    whole.write_text(TOPICS + ROLES)
    for named in (folder, folder / "*.toml", [folder / "topics.toml", folder / "roles.toml"]):
        assert read_policy(named) == read_policy(whole)


def test_the_first_mistake_is_told_with_the_file_it_stands_in(folder):
    (folder / "more.toml").write_text("\n[roles.x]\nbind = {}")
    with pytest.raises(ConfigurationError) as refused:
        read_policy(folder)
    assert refused.value.where == f"{folder}/more.toml:3:1"
    assert f"bartizan policy check {folder}" not in str(refused.value), "there is one mistake only"


def test_settings_name_a_policy_relative_to_themselves(folder, tmp_path):
    file = tmp_path / "bartizan.toml"
    for written, meant in (
        ('"policy"', folder),
        ('"policy/*.toml"', folder / "*.toml"),
        ('["policy/roles.toml", "policy/topics.toml"]', (folder / "roles.toml", folder / "topics.toml")),
    ):
        file.write_text(f"[policy]\nfile = {written}\n")
        assert load_settings(file).policy.file == meant
