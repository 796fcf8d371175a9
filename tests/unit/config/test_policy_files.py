"""Which files a policy is made of: stable, without test files, and never silently none."""

from pathlib import Path

import pytest

from bartizan.config.policy_files import expectation_files, policy_files
from bartizan.errors import ConfigurationError


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    (folder / "old.toml").mkdir(parents=True)
    for name in ("b.toml", "a.toml", "a.test.toml", "notes.md", "c.toml~"):
        (folder / name).touch()
    return folder


def names(files: tuple[Path, ...]) -> list[str]:
    return [file.name for file in files]


def test_a_directory_is_its_toml_files_by_name(policy):
    assert names(policy_files(policy)) == ["a.toml", "b.toml"]


def test_a_pattern_is_the_files_that_fit_by_name(policy):
    assert names(policy_files(policy / "*.toml")) == ["a.toml", "b.toml"]
    assert names(policy_files(policy / "b*")) == ["b.toml"]


def test_a_list_keeps_its_order_and_names_a_file_once(policy):
    assert names(policy_files([policy / "b.toml", policy])) == ["b.toml", "a.toml"]


def test_a_file_that_is_not_there_is_left_to_whoever_reads_it(tmp_path):
    assert policy_files(tmp_path / "absent.toml") == (tmp_path / "absent.toml",)


def test_a_name_that_stands_for_no_file_is_an_error(tmp_path):
    for name in (tmp_path, tmp_path / "*.toml"):
        with pytest.raises(ConfigurationError, match="policy"):
            policy_files(name)


def test_the_tests_of_a_policy_stand_beside_it(policy):
    assert names(expectation_files(policy / "b.toml")) == ["a.test.toml"]
    assert names(expectation_files([policy / "*.toml"])) == ["a.test.toml"]
