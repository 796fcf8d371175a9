"""What a changed configuration changes at once, and what it names as waiting for the next start."""

import pytest

from bartizan.broker.reload import needs_restart
from bartizan.config.load import load_settings


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ("log.level=debug", ()),
        ("policy.file=other.toml", ()),
        ("log.format=json", ("log.format",)),
        ("listeners.mqtts.bind=127.0.0.1:8883", ("listeners.mqtts.bind",)),
        ("limits.inflight_max=7", ("limits.inflight_max",)),
    ],
)
def test_a_change_holds_at_once_or_is_named(change, waits):
    assert needs_restart(load_settings(), load_settings(None, [change])) == waits


def test_other_certificate_files_hold_at_once():
    files = ["listeners.mqtts.certificate_file=a.pem", "listeners.mqtts.key_file=b.pem"]
    assert needs_restart(load_settings(), load_settings(None, files)) == ()


def test_a_new_listener_waits():
    waits = needs_restart(load_settings(), load_settings(None, ["listeners.more.bind=127.0.0.1:1"]))
    assert "listeners.more.bind" in waits
