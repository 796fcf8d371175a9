"""Every detector: it finds its attack, names who did it, and says nothing of an ordinary day."""

from typing import get_args

import pytest

from bartizan.config.detect import DetectorName, DetectSettings
from bartizan.detect.builtin import builtin_detectors
from bartizan.detect.watch import Watch
from bartizan.model.finding import About, Finding
from bartizan.model.signal import Connected, Denied, Disconnected, InTwoPlaces, LimitMet, LoginFailed, Signal
from tests.unit.detect import days

SETTINGS = DetectSettings(decoy_identities=("backup-admin",), decoy_topics=("vault/#",))
NOON_S = days.MONDAY_S + 12 * 3_600.0
WHO = {
    "password_guessing": (About.NETWORK, days.ATTACKER),
    "password_spraying": (About.NETWORK, days.ATTACKER),
    "failed_handshakes": (About.NETWORK, days.ATTACKER),
    "connect_flood": (About.NETWORK, days.ATTACKER),
    "slow_connects": (About.NETWORK, days.ATTACKER),
    "credential_ending": (About.TARGET, "press-21"),
    "silent_device": (About.TARGET, "pump-01"),
    "decoy": (About.NETWORK, days.ATTACKER),
}


def found(signals: list[Signal], settings: DetectSettings = SETTINGS) -> list[Finding]:
    return Watch(builtin_detectors(settings)).look(sorted(signals, key=lambda signal: signal.at_s))


@pytest.fixture(scope="module")
def ordinary() -> list[Signal]:
    return days.ordinary_day()


def test_every_detector_has_an_attack() -> None:
    assert set(days.ATTACKS) == set(get_args(DetectorName)) == {each.name for each in builtin_detectors(SETTINGS)}


def test_an_ordinary_day_is_nothing_to_tell(ordinary: list[Signal]) -> None:
    assert len(ordinary) > 2_000
    assert found(ordinary) == []


@pytest.mark.parametrize("name", days.ATTACKS)
def test_an_attack_on_an_ordinary_day_is_found_and_who_did_it(name: str, ordinary: list[Signal]) -> None:
    attack = days.ATTACKS[name](NOON_S)
    own = [finding for finding in found([*ordinary, *attack]) if finding.detector == name]
    assert WHO.get(name, (About.IDENTITY, "press-21")) in {(finding.about, finding.name) for finding in own}
    assert attack[0].at_s <= own[0].at_s <= attack[-1].at_s
    assert 10 <= own[0].score <= 100
    assert own[0].name in own[0].text


@pytest.mark.parametrize("name", days.ATTACKS)
def test_a_detector_that_is_off_says_nothing(name: str) -> None:
    settings = SETTINGS.model_copy(update={"off": (name,)})
    assert [each for each in found(days.ATTACKS[name](NOON_S), settings) if each.detector == name] == []


def test_a_count_is_in_the_sentence_and_a_larger_one_scores_higher() -> None:
    (few,) = found([days.denied("press-21", NOON_S, "x") for _ in range(61)])
    assert few.text == "identity press-21: was denied 61 times in 1 minute, more than 60"
    many = found(days.denial_burst(NOON_S))
    assert many[-1].text == "identity press-21: was denied 5,000 times in 1 minute, more than 60"
    assert many[-1].score > few.score


def test_connections_with_keep_alive_off_are_counted_and_the_same_number_with_a_keep_alive_is_nothing() -> None:
    attack: list[Signal] = [days.comes("press-21", NOON_S + 5 * number, keep_alive_s=0) for number in range(40)]
    (first, *_) = [each for each in found(attack) if each.detector == "keep_alive"]
    assert first.text == "identity press-21: connected 31 times with Keep Alive off in 10 minutes, more than 30"
    usual: list[Signal] = [days.comes("press-21", NOON_S + 5 * number) for number in range(40)]
    assert found(usual) == []


@pytest.mark.parametrize(
    ("kind", "said"), [("certificate", "the certificate of"), ("password", "a password of"), ("token", "a token of")]
)
def test_what_is_in_two_places_is_named_by_its_kind(kind: str, said: str) -> None:
    (told,) = found([InTwoPlaces(at_s=NOON_S, identity="press-21", address="b", other_address="a", kind=kind)])
    assert told.text.startswith(f"{said} identity press-21 connected from b while it was connected from a")


def test_guesses_at_one_identity_from_everywhere_are_about_the_identity_that_is_their_target() -> None:
    guesses: list[Signal] = [
        LoginFailed(at_s=NOON_S + number * 60, name="alice", is_known=True, address=f"203.0.113.{number}")
        for number in range(30)
    ]
    spread = [each for each in found(guesses) if each.detector == "password_spraying"]
    assert {(each.about, each.name) for each in spread} == {(About.TARGET, "alice")}
    assert spread[0].text == "identity alice: logins failed from 9 different addresses in 1 hour, more than 8"


def test_names_that_nobody_has_are_in_no_sentence() -> None:
    guesses: list[Signal] = [
        days.login_failed(f"?{number:016x}", NOON_S + number, is_known=False) for number in range(50)
    ]
    texts = " ".join(each.text for each in found(guesses))
    assert "21 different names" in texts
    assert "?" not in texts


def test_addresses_of_one_ipv6_network_are_one() -> None:
    guesses: list[Signal] = [
        days.login_failed("alice", NOON_S + number, f"2001:db8::{number:x}") for number in range(30)
    ]
    names = {each.name for each in found(guesses) if each.about is About.NETWORK}
    assert names == {"2001:db8::/64"}


def test_a_crowd_of_many_addresses_is_of_the_broker() -> None:
    (crowd,) = found(days.crowd(NOON_S))[:1]
    assert (crowd.detector, crowd.about, crowd.name) == ("connect_flood", About.BROKER, "")
    assert crowd.text.startswith("clients of many addresses: 2,000 connections")


@pytest.mark.parametrize(
    "signal",
    [
        Denied(at_s=NOON_S, identity="anonymous", client_id="x", address="", action="publish", topic="x", count=9_999),
        LimitMet(at_s=NOON_S, identity="anonymous", address="", limit="queued_bytes_max", count=9_999),
        Disconnected(at_s=NOON_S, identity="", client_id="", address="", reason="Session taken over"),
    ],
    ids=lambda signal: type(signal).__name__,
)
def test_what_anonymous_clients_do_is_no_identitys(signal: Signal) -> None:
    assert found([signal] * 50) == []


def test_a_decoy_topic_is_told_by_name_filter_and_below_it_and_no_other_is() -> None:
    for topic in ("vault/keys", "vault/#", "vault"):
        (touched,) = found([days.denied("press-21", NOON_S, topic, "subscribe")])
        assert (touched.detector, touched.score, touched.technique) == ("decoy", 100, "T0861")
    assert found([days.denied("press-21", NOON_S, "vaults/keys")]) == []


def test_a_decoy_topic_that_a_wildcard_grants_is_told_too() -> None:
    (touched,) = found([days.did("press-21", NOON_S, "publish", "vault/keys")])
    assert (touched.detector, touched.name, touched.score) == ("decoy", "press-21", 100)
    assert touched.text == "identity press-21 was granted to publish vault/keys, of the decoy vault/#"
    assert found([days.did("press-21", NOON_S, "subscribe", "#")]) == []


def test_a_decoy_that_connects_is_an_identity_whose_credential_is_known() -> None:
    signal = days.comes("press-00", NOON_S, identity="backup-admin")
    (touched,) = found([signal])
    assert (touched.about, touched.name, touched.score) == (About.IDENTITY, "backup-admin", 100)


@pytest.mark.parametrize("topic", ["#", "+/temperature", "$share/readers/#", "+"])
def test_who_asks_for_everything_is_told(topic: str) -> None:
    assert [each.detector for each in found([days.denied("press-21", NOON_S, topic, "subscribe")])] == [
        "wide_subscription"
    ]


def test_who_asks_for_something_is_not() -> None:
    for topic in ("data/#", "$share/readers/data/#", "data/+"):
        assert found([days.denied("press-21", NOON_S, topic, "subscribe")]) == []
    assert found([days.denied("press-21", NOON_S, "#", "receive")]) == []


def test_the_fewer_days_a_credential_has_the_higher_is_the_score() -> None:
    (soon,) = days.credential_ending(NOON_S)
    scores = []
    for days_left in (30, 7, 1, -1):
        fields = {name: getattr(soon, name) for name in soon.__dataclass_fields__} | {"days_left": days_left}
        (told,) = found([type(soon)(**fields)])
        scores.append(told.score)
    assert scores == sorted(scores)
    assert len(set(scores)) == 4


def test_a_detector_wants_no_more_than_it_looks_at(ordinary: list[Signal]) -> None:
    """What it does not name it is never shown, so what it names it has a use for."""
    attacks = [signal for attack in days.ATTACKS.values() for signal in attack(NOON_S)]
    seen = {type(signal) for signal in [*ordinary, *attacks, *days.crowd(NOON_S)]}
    assert {kind for detector in builtin_detectors(SETTINGS) for kind in detector.wants} <= seen
    assert isinstance(days.comes("press-01", NOON_S), Connected)


def test_what_is_over_is_not_said_again_because_of_one_more_hours_after() -> None:
    guesses: list[Signal] = [days.login_failed("alice", NOON_S + number) for number in range(120)]
    late: list[Signal] = [days.login_failed("alice", NOON_S + hours * 3_600, "10.0.9.4") for hours in (5, 6, 9)]
    assert [each for each in found([*guesses, *late]) if each.at_s > NOON_S + 120] == []
