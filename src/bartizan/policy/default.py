"""The policy a new broker starts with: commented, so that it teaches the language."""

from importlib.resources import files


def default_policy_text() -> str:
    """The text of `default_policy.toml`."""
    return files("bartizan.policy").joinpath("default_policy.toml").read_text(encoding="utf-8")
