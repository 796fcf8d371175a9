"""The open lab: its settings are accepted, its dangers are spelt, and it stays on loopback."""

import tomllib
from pathlib import Path

import pytest

from bartizan.config.schema import Settings

LAB = "examples/open-lab/bartizan.toml"


def test_its_settings_are_accepted(root: Path) -> None:
    settings = Settings.model_validate(tomllib.loads((root / LAB).read_text(encoding="utf-8")))
    listener = settings.listeners["mqtt"]
    assert listener.loopback_only
    assert listener.danger_plaintext
    assert listener.danger_anonymous


@pytest.mark.parametrize("bind", ["0.0.0.0:1883", "[::]:1883", "192.0.2.1:1883"])
def test_it_refuses_every_other_address(root: Path, bind: str) -> None:
    raw = tomllib.loads((root / LAB).read_text(encoding="utf-8"))
    raw["listeners"]["mqtt"]["bind"] = bind
    with pytest.raises(ValueError, match="loopback"):
        Settings.model_validate(raw)
