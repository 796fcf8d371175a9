"""When a certificate is told to be in two places: of what passes the desk, and of what the engine tells."""

from dataclasses import replace
from typing import Any, cast

import pytest

from bartizan.authn import Certificate, ConnectRequest
from bartizan.broker.places import TELL_AGAIN_S, TELL_MAX_PER_S, Places
from bartizan.model.principal import Factor, Principal

HERE, NEAR, THERE = "192.0.2.7", "192.0.2.99", "198.51.100.7"
PRINCIPAL = Principal("press-01", method="certificate", factors=frozenset({Factor.CERTIFICATE}))


class Bench:
    """A `Places` with its journal and its clock."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.at_s = 1_000.0
        self.places = Places(cast("Any", self), lambda: self.at_s)

    def note(self, kind: str, /, **fields: Any) -> None:
        assert kind == "certificate_in_two_places"
        self.notes.append(fields)

    def proves(self, client_id: str, fingerprint: str = "ab", principal: Principal = PRINCIPAL) -> None:
        request = ConnectRequest(client_id, "mqtts", HERE, certificate=Certificate(fingerprint, "1"))
        self.places.proved(request, principal)

    def tells(self, kind: str, client_id: str, address: str, reason: str = "Success") -> None:
        told = {"event": kind, "identity": "press-01", "client_id": client_id, "address": address, "reason": reason}
        self.places.events([told])

    def comes(self, client_id: str, address: str) -> None:
        self.proves(client_id)
        self.tells("connected", client_id, address)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_two_clients_of_one_certificate_in_two_networks_are_told(bench):
    bench.comes("press-01", HERE)
    bench.comes("press-01-b", THERE)
    assert bench.notes == [
        {
            "identity": "press-01",
            "client_id": "press-01-b",
            "address": THERE,
            "listener": None,
            "other_client_id": "press-01",
            "other_address": HERE,
            "fingerprint_sha256": "ab",
        }
    ]


def test_one_network_is_one_place(bench):
    bench.comes("press-01", HERE)
    bench.comes("press-01-b", NEAR)
    assert bench.notes == []
    six = Bench()
    six.comes("press-01", "2001:db8::1")
    six.comes("press-01-b", "2001:db8::ffff:1")
    assert six.notes == []
    six.comes("press-01-c", "2001:db8:0:1::1")
    assert len(six.notes) == 1


def test_who_has_gone_is_in_no_place(bench):
    bench.comes("press-01", HERE)
    bench.tells("disconnected", "press-01", HERE)
    bench.comes("press-01", THERE)
    assert bench.notes == []


@pytest.mark.parametrize("told_first", ["connected", "disconnected"])
def test_a_copy_that_takes_the_session_over_is_told_whichever_comes_first(bench, told_first):
    bench.comes("press-01", HERE)
    events = [("connected", THERE), ("disconnected", HERE)]
    for kind, address in events if told_first == "connected" else reversed(events):
        bench.tells(kind, "press-01", address, "Session taken over")
    assert len(bench.notes) == 1
    bench.tells("disconnected", "press-01", THERE)
    bench.at_s += TELL_AGAIN_S
    bench.comes("press-01", HERE)
    assert len(bench.notes) == 1


def test_it_is_told_once_in_a_while_and_many_at_once_are_bounded(bench):
    bench.comes("press-01", HERE)
    for _ in range(5):
        bench.comes("press-01-b", THERE)
    assert len(bench.notes) == 1
    bench.at_s += TELL_AGAIN_S
    bench.comes("press-01-b", THERE)
    assert len(bench.notes) == 2
    for number in range(50):
        for suffix, address in (("a", HERE), ("b", THERE)):
            bench.proves(f"{number}{suffix}", fingerprint=str(number))
            bench.tells("connected", f"{number}{suffix}", address)
    assert len(bench.notes) == 1 + TELL_MAX_PER_S


def test_a_client_that_came_back_by_something_else_is_no_use_of_the_certificate(bench):
    bench.comes("press-01", HERE)
    bench.proves("press-01-b")
    bench.proves("press-01-b", principal=replace(PRINCIPAL, factors=frozenset({Factor.PASSWORD})))
    bench.tells("connected", "press-01-b", THERE)
    assert bench.notes == []


def test_after_a_flood_that_hid_who_went_nobody_is_suspected(bench):
    bench.comes("press-01", HERE)
    bench.places.events([{"event": "repeated", "kind": "disconnected", "count": 9}])
    bench.comes("press-01-b", THERE)
    assert bench.notes == []
