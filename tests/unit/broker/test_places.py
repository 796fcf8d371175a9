"""When a certificate is told to be in two places: of what passes the desk, and of what the engine tells."""

from dataclasses import replace
from typing import Any, cast

import pytest

from bartizan.authn import Certificate, ConnectRequest
from bartizan.broker.places import TELL_AGAIN_S, TELL_MAX_PER_S, Places
from bartizan.config.detect import Place
from bartizan.model.principal import Factor, Principal

HERE, NEAR, THERE = "192.0.2.7", "192.0.2.99", "198.51.100.7"
PRINCIPAL = Principal("press-01", method="certificate", factors=frozenset({Factor.CERTIFICATE}))


class Bench:
    """A `Places` with its journal and its clock."""

    def __init__(self, **widths: Place) -> None:
        self.notes: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.at_s = 1_000.0
        self.places = Places(cast("Any", self), lambda: self.at_s, **widths)

    def note(self, event: str, /, **fields: Any) -> None:
        self.events.append(event)
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


def by_password(client_id: str, address: str = HERE, **more: Any) -> tuple[ConnectRequest, Principal]:
    request = ConnectRequest(client_id, "mqtts", address, user_name="press-01", password=b"hunter2", **more)
    principal = Principal("press-01", method="password", factors=frozenset({Factor.PASSWORD}), credential_id="p1")
    return request, principal


def by_scram(client_id: str, address: str = HERE) -> tuple[ConnectRequest, Principal]:
    request, principal = by_password(client_id, address, authentication_data=b"c=biws,r=1,p=2")
    return request, replace(principal, factors=frozenset({Factor.SCRAM}), credential_id="s1")


def by_token(client_id: str, address: str = HERE, **more: Any) -> tuple[ConnectRequest, Principal]:
    request, principal = by_password(client_id, address, **more)
    return request, replace(principal, factors=frozenset({Factor.TOKEN}), credential_id="")


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


def test_one_network_is_one_place_where_the_settings_say_so():
    bench = Bench(certificate="network")
    bench.comes("press-01", HERE)
    bench.comes("press-01-b", NEAR)
    assert bench.notes == []
    six = Bench(certificate="network")
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


def test_two_clients_of_one_certificate_at_two_addresses_are_told_and_one_that_has_moved_is_not(bench):
    bench.comes("press-01", HERE)
    bench.comes("press-01", NEAR)
    bench.comes("press-01-b", NEAR)
    assert bench.notes == []
    bench.comes("press-01-b", HERE)
    assert [(note["client_id"], note["other_address"]) for note in bench.notes] == [("press-01-b", NEAR)]


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (by_password, {"kind": "password", "credential": "p1"}),
        (by_scram, {"kind": "scram", "credential": "s1"}),
        (by_token, {"kind": "token"}),
    ],
)
def test_what_clients_share_is_told_in_two_networks_and_says_no_secret(bench, shown, told):
    for client_id, address in (("a", HERE), ("b", NEAR), ("c", THERE)):
        bench.places.proved(*shown(client_id))
        bench.tells("connected", client_id, address)
    assert bench.events == ["credential_in_two_places"]
    [note] = bench.notes
    assert told.items() <= note.items()
    assert set(note) == {"identity", "client_id", "address", "listener", "other_client_id", "other_address", *told}
    assert "hunter2" not in repr((note, bench.places._proofs))


def test_another_credential_of_the_same_identity_is_another_one(bench):
    bench.places.proved(*by_token("a"))
    bench.tells("connected", "a", HERE)
    bench.places.proved(*by_password("b"))
    bench.tells("connected", "b", THERE)
    request, principal = by_token("c")
    bench.places.proved(replace(request, password=b"another token"), principal)
    bench.tells("connected", "c", THERE)
    assert bench.notes == []


def test_addresses_are_places_of_passwords_where_the_settings_say_so():
    bench = Bench(other="address")
    for client_id, address in (("a", HERE), ("b", NEAR)):
        bench.places.proved(*by_password(client_id))
        bench.tells("connected", client_id, address)
    assert len(bench.notes) == 1


def test_a_token_that_took_the_place_of_another_is_there_and_the_old_one_is_not(bench):
    bench.places.proved(*by_token("a"))
    bench.tells("connected", "a", HERE)
    bench.places.proved(*by_token("a", again=True, authentication_data=b"the next token"))
    bench.places.proved(*by_token("b"))
    bench.tells("connected", "b", THERE)
    assert bench.notes == []
    bench.places.proved(*by_token("c", authentication_data=b"the next token"))
    bench.tells("connected", "c", THERE)
    assert [note["other_client_id"] for note in bench.notes] == ["a"]
