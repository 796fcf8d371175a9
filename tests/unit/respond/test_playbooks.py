"""Which playbook answers what, what it does by default, and what it never does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from bartizan.config.load import load_settings
from bartizan.config.respond import Playbook
from bartizan.config.runbooks import Runbook, Step
from bartizan.errors import ConfigurationError
from bartizan.model.finding import About, Finding, Kept, State
from bartizan.model.response import Outcome
from bartizan.respond.playbooks import HOUR_S, Playbooks

NOW_S = 1_800_000_000.0
NOW = datetime.fromtimestamp(NOW_S, UTC)


def kept(**other: Any) -> Kept:
    fields: dict[str, Any] = {
        "detector": "topic_scan",
        "about": About.IDENTITY,
        "name": "press-01",
        "score": 70,
        "text": "it scanned",
        "at_s": NOW_S,
    }
    return Kept(7, Finding(**(fields | other)), State.OPEN, 1, NOW, NOW + timedelta(minutes=1))


def outcomes(playbook: Playbook, *found: Kept, at_s: float = NOW_S) -> list[Outcome]:
    playbooks = Playbooks({"one": playbook})
    return [each.outcome for one in found for each in playbooks.answers(one, at_s)]


def test_an_alert_is_done_and_all_else_only_observed_unless_it_is_said() -> None:
    assert outcomes(Playbook(action="alert", to="soc"), kept()) == [Outcome.DONE]
    for action in ("disconnect", "quarantine", "revoke"):
        assert outcomes(Playbook.model_validate({"action": action}), kept()) == [Outcome.OBSERVED]
    assert outcomes(Playbook(action="throttle"), kept()) == [Outcome.DONE]
    assert outcomes(Playbook(action="ban"), kept(about=About.NETWORK, name="192.0.2.7")) == [Outcome.OBSERVED]
    assert outcomes(Playbook(action="disconnect", mode="confirm"), kept()) == [Outcome.WAITING]
    assert outcomes(Playbook(action="disconnect", mode="auto"), kept()) == [Outcome.DONE]


@pytest.mark.parametrize("about", [About.NETWORK, About.TARGET, About.BROKER])
def test_nobody_is_disconnected_for_what_anyone_can_claim(about: About) -> None:
    for action in ("disconnect", "quarantine", "revoke"):
        assert outcomes(Playbook.model_validate({"action": action, "mode": "auto"}), kept(about=about)) == []
    assert outcomes(Playbook(action="alert", to="soc"), kept(about=about)) == [Outcome.DONE]


@pytest.mark.parametrize("about", [About.IDENTITY, About.TARGET, About.BROKER])
def test_an_address_is_banned_for_what_came_from_it_alone(about: About) -> None:
    playbook = Playbook(action="ban", mode="auto")
    assert outcomes(playbook, kept(about=about)) == []
    assert outcomes(playbook, kept(about=About.NETWORK, name="192.0.2.7")) == [Outcome.DONE]


@pytest.mark.parametrize(
    ("never", "name", "outcome"),
    [
        ("10.20.0.0/16", "10.20.3.4", Outcome.LEFT_OUT),
        ("10.20.0.0/16", "10.21.3.4", Outcome.DONE),
        ("10.20.*", "10.20.3.4", Outcome.LEFT_OUT),
        ("2001:db8::/32", "2001:db8:1:2::/64", Outcome.LEFT_OUT),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64", Outcome.LEFT_OUT),
        ("2001:db8::/32", "2001:db9::/64", Outcome.DONE),
        ("::/0", "10.20.3.4", Outcome.DONE),
        ("hmi-*", "10.20.3.4", Outcome.DONE),
    ],
)
def test_addresses_that_are_never_banned_are_named_by_pattern_or_prefix(
    never: str, name: str, outcome: Outcome
) -> None:
    playbook = Playbook(action="ban", mode="auto", never=(never,))
    assert outcomes(playbook, kept(about=About.NETWORK, name=name)) == [outcome]


@pytest.mark.parametrize(
    ("bits", "name", "banned"),
    [
        ({"ban_ipv4_bits": 24}, "192.0.2.7", "192.0.2.0/24"),
        ({"ban_ipv4_bits": 32}, "192.0.2.7", "192.0.2.7"),
        ({"ban_ipv4_bits": 24}, "2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ({"ban_ipv6_bits": 48}, "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ({"ban_ipv6_bits": 48}, "192.0.2.7", "192.0.2.7"),
        ({}, "192.0.2.7", "192.0.2.7"),
    ],
)
def test_neighbours_are_banned_as_far_as_the_playbook_says(bits: dict[str, int], name: str, banned: str) -> None:
    playbook = Playbook.model_validate({"action": "ban", "mode": "auto"} | bits)
    (answer,) = Playbooks({"one": playbook}).answers(kept(about=About.NETWORK, name=name), NOW_S)
    assert (answer.name, answer.outcome) == (banned, Outcome.DONE)


@pytest.mark.parametrize("never", ["192.0.2.200", "192.0.2.128/25", "192.0.0.0/16"])
def test_no_prefix_is_banned_that_overlaps_what_is_never_acted_on(never: str) -> None:
    playbook = Playbook(action="ban", mode="auto", ban_ipv4_bits=24, never=(never,))
    assert outcomes(playbook, kept(about=About.NETWORK, name="192.0.2.7")) == [Outcome.LEFT_OUT]
    assert outcomes(playbook, kept(about=About.NETWORK, name="198.51.100.7")) == [Outcome.DONE]


@pytest.mark.parametrize("steps", [None, ["revoke"], ["quarantine", "revoke"]])
def test_what_takes_two_operators_no_playbook_does_by_itself(steps: list[str] | None) -> None:
    runbooks = {"end": Runbook(steps=tuple(Step.model_validate({"action": one}) for one in steps or ["disconnect"]))}
    what = {"action": "revoke"} if steps is None else {"action": "runbook", "runbook": "end"}
    playbook = Playbook.model_validate(what | {"mode": "auto"})

    def outcome(*, takes_two: bool, **of: Playbook) -> Outcome:
        (answer,) = Playbooks(of, runbooks, revoking_takes_two=takes_two).answers(kept(), NOW_S)
        return answer.outcome

    assert outcome(takes_two=True, one=playbook) is Outcome.WAITING
    assert outcome(takes_two=False, one=playbook) is Outcome.DONE
    assert outcome(takes_two=True, one=Playbook(action="quarantine", mode="auto")) is Outcome.DONE
    assert outcome(takes_two=True, one=Playbook(action="revoke")) is Outcome.OBSERVED


def test_a_playbook_answers_findings_of_its_detectors_and_severity() -> None:
    playbook = Playbook(action="alert", to="soc", detectors=("decoy", "topic_scan"), severity="high")
    assert outcomes(playbook, kept(), kept(detector="decoy", score=60)) == [Outcome.DONE] * 2
    assert outcomes(playbook, kept(detector="novelty"), kept(score=59)) == []


def test_what_it_never_acts_on_is_noted_as_left_out() -> None:
    playbook = Playbook(action="disconnect", mode="auto", never=("hmi-*", "press-01"))
    found = [kept(), kept(name="hmi-3"), kept(name="press-02")]
    assert outcomes(playbook, *found) == [Outcome.LEFT_OUT, Outcome.LEFT_OUT, Outcome.DONE]


def test_it_acts_so_often_in_an_hour_and_again_in_the_next() -> None:
    playbooks = Playbooks({"one": Playbook(action="disconnect", mode="auto", per_hour_max=2)})

    def acted(at_s: float) -> tuple[Outcome, str]:
        (answer,) = playbooks.answers(kept(), at_s)
        return answer.outcome, answer.text

    assert [acted(NOW_S + number)[0] for number in range(2)] == [Outcome.DONE] * 2
    assert acted(NOW_S + 2) == (Outcome.LEFT_OUT, "already 2 times within an hour")
    assert acted(NOW_S + HOUR_S)[0] is Outcome.DONE
    assert acted(NOW_S + HOUR_S + 0.5)[0] is Outcome.LEFT_OUT


def test_every_playbook_answers_for_itself() -> None:
    playbooks = Playbooks({"tell": Playbook(action="alert", to="soc"), "cut": Playbook(action="disconnect")})
    answers = list(playbooks.answers(kept(), NOW_S))
    assert [(each.playbook, each.action, each.finding, each.name) for each in answers] == [
        ("tell", "alert", 7, "press-01"),
        ("cut", "disconnect", 7, "press-01"),
    ]
    told = playbooks.named("tell")
    assert (told is not None and told.to, playbooks.named("gone")) == ("soc", None)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["playbooks.one={action = 'alert'}"], "needs to"),
        (["playbooks.one={action = 'disconnect', to = 'soc'}"], "needs to"),
        (["playbooks.one={action = 'alert', to = 'soc'}"], "there is no [alerts.soc]"),
        (["playbooks.one={action = 'alert', to = 'soc', mode = 'confirm'}"], "an alert waits for nobody"),
        (["alerts.soc={kind = 'alertmanager', alert_url = 'https://a.example/'}"], "named by no playbook"),
        (["alerts.soc={kind = 'alertmanager', alert_url = 'http://a.example/'}"], "not https"),
        (["alerts.soc={kind = 'webhook', alert_url = 'https://a.example/'}"], "needs secret_file"),
        (["alerts.soc={kind = 'webhook', alert_url = 'https://u:p@a.example/', secret_file = 's'}"], "alert_url"),
        (["playbooks.one={action = 'revoke', quarantine_h = 4}"], "quarantine_h"),
        (["playbooks.one={action = 'quarantine', clear_retained = true}"], "clear_retained"),
        (["playbooks.one={action = 'revoke', ban_ipv4_bits = 24}"], "ban_ipv4_bits"),
        (["playbooks.one={action = 'ban', ban_ipv4_bits = 15}"], "16"),
        (["playbooks.one={action = 'ban', ban_ipv6_bits = 31}"], "32"),
        (["playbooks.one={action = 'ban', ban_ipv4_bits = 24, never = ['10.20.0.*']}"], "addresses or prefixes"),
        (["playbooks.One={action = 'disconnect'}"], "lower-case letter"),
    ],
)
def test_a_mistake_is_told_with_its_place(settings: list[str], says: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        load_settings(None, settings)
    assert says in str(told.value)


def test_a_playbook_without_bounds_is_none() -> None:
    with pytest.raises(ValidationError):
        Playbook(action="disconnect", per_hour_max=0)
