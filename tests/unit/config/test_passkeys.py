"""Where passkeys are good: a host that browsers take, pages that may use it, and what cannot work is told at the start."""

import pytest

from bartizan.config.load import load_settings
from bartizan.config.passkeys import Place
from bartizan.errors import ConfigurationError


def place(*settings: str) -> Place | None:
    return load_settings(None, [f"api.{one}" for one in settings]).api.passkey_place


def test_on_loopback_it_is_localhost_and_elsewhere_nowhere_until_a_host_is_named():
    assert place() == Place("localhost", ("https://localhost:8444",))
    assert place("bind=[::]:8444") is None
    assert place("bind=127.0.0.1:0") is None, "the system chooses the port"
    assert place("bind=off") is None


def test_a_host_is_good_for_its_own_page_or_for_those_that_are_named():
    assert place("bind=[::]:8444", "passkeys.host=broker.example") == Place(
        "broker.example", ("https://broker.example:8444",)
    )
    assert place("bind=[::]:443", "passkeys.host=broker.example") == Place(
        "broker.example", ("https://broker.example",)
    )
    origins = ("https://console.broker.example", "https://broker.example:8080")
    named = f'passkeys.origins=["{origins[0]}", "{origins[1]}"]'
    assert place("passkeys.host=broker.example", named) == Place("broker.example", origins)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["passkeys.host=192.0.2.1"], "IP address"),
        (["passkeys.host=[2001:db8::1]"], "IP address"),
        (["passkeys.host=10.0.0.300"], "host name"),
        (["passkeys.host=broker.example:8444"], "host name"),
        (["passkeys.host=https://broker.example"], "host name"),
        (["passkeys.host=Broker.example"], "host name"),
        (["passkeys.host=-x.example"], "host name"),
        (["passkeys.host=broker.example", 'passkeys.origins=["https://evil.example"]'], "cannot use a key"),
        (["passkeys.host=broker.example", 'passkeys.origins=["https://evilbroker.example"]'], "cannot use a key"),
        (["passkeys.host=broker.example", 'passkeys.origins=["http://broker.example"]'], "origin"),
        (["passkeys.host=broker.example", 'passkeys.origins=["https://broker.example/"]'], "origin"),
        (["passkeys.host=broker.example", 'passkeys.origins=["https://broker.example:443"]'], "origin"),
        (["passkeys.host=broker.example", 'passkeys.origins=["https://user@broker.example"]'], "origin"),
        (["passkeys.host=broker.example", 'passkeys.origins=["https://broker.example:x"]'], "origin"),
        (["bind=[::]:8444", 'passkeys.origins=["https://broker.example"]'], "need passkeys.host"),
        (["bind=[::]:0", "passkeys.host=broker.example"], "no port of its own"),
        (["bind=off", "passkeys.host=broker.example"], "off"),
    ],
)
def test_what_cannot_work_is_told_at_the_start(settings: list[str], told: str):
    with pytest.raises(ConfigurationError, match=told):
        place(*settings)
