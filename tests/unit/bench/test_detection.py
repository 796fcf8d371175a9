"""The simulated plant is the same every time, and who judges it misses no finding and no happening."""

from itertools import islice

import pytest

from bartizan.model.finding import About, Finding
from bench.attacks import ATTACKS, attacks
from bench.detection import LATE_S, as_dict, judge, kinds, markdown, run
from bench.insiders import INSIDERS
from bench.plant import DAY_S, WEEK_S, Happening, Plant
from bench.traffic import Life

DEVICES = 40
EVERY = {**ATTACKS, **INSIDERS}
NOT_FOUND = {"copied key, in the same hall and with the same software", "granted: twice as many messages as usual"}
"""Nothing tells them from what is usual."""

HALL = Happening("scan", 100.0, 200.0, frozenset({"press-01"}), is_attack=True)


def finding(name: str, at_s: float) -> Finding:
    return Finding("topic_scan", About.IDENTITY, name, 50, "it scanned", at_s)


def test_the_same_seed_is_the_same_plant_and_another_one_is_not() -> None:
    weeks = [list(Plant(seed, DEVICES).ordinary()) for seed in (1, 1, 2)]
    assert weeks[0] == weeks[1] != weeks[2]
    assert list(attacks(Plant(1, DEVICES), 1)) == list(attacks(Plant(1, DEVICES), 1))
    lives = [Life(Plant(1, DEVICES), seed) for seed in (1, 1, 2)]
    topics = [list(life.topics()) for life in lives]
    assert topics[0] == topics[1] != topics[2]
    sent = [list(islice(life.traffic(), 1_000)) for life in lives]
    assert sent[0] == sent[1] != sent[2]


def test_traffic_is_in_the_order_of_time_and_who_lost_its_link_sends_all_of_it_afterwards() -> None:
    life = Life(Plant(1, DEVICES), 1)
    sent = list(life.traffic())
    assert [signal.at_s for signal in sent] == sorted(signal.at_s for signal in sent)
    outage = next(life.outages())
    (name,) = outage.names
    of_it = [signal for signal in sent if signal.identity == name and outage.start_s <= signal.at_s <= outage.end_s]
    assert of_it[0].publishes > 4 * of_it[1].publishes


def test_every_kind_of_attack_happens_in_the_week_that_counts() -> None:
    plant = Plant(1, DEVICES)
    happened = list(attacks(plant, 1, each=2, kinds=EVERY))
    assert {each.kind for each in happened} == set(EVERY)
    for each in happened:
        assert plant.week_s < each.start_s <= each.end_s < plant.week_s + WEEK_S
        assert each.signals
        assert each.names


def test_most_attacks_are_found_and_little_is_told_for_nothing() -> None:
    week = run(1, DEVICES, each=1)
    missed = {each.kind for each, of in week.found.items() if each.is_attack and not of}
    # In a plant this small hardly anybody has peers: one who has done something new lately is not suspected for more.
    assert missed - NOT_FOUND <= {"granted: readings as another device", "granted: another device's commands overheard"}
    told = as_dict([week])
    assert (told["attacks"], told["attacks_found"]) == (len(EVERY), len(EVERY) - len(missed))
    assert len(week.false) <= 30


@pytest.mark.parametrize(
    ("name", "at_s", "is_of"),
    [
        ("press-01", 150.0, True),
        ("press-01", 200.0 + LATE_S, True),
        ("press-01", 99.0, False),
        ("press-01", 201.0 + LATE_S, False),
        ("press-02", 150.0, False),
    ],
)
def test_a_finding_is_of_what_goes_on_about_the_same_name(name: str, at_s: float, *, is_of: bool) -> None:
    judged = judge([HALL], [finding(name, at_s)], signals=1)
    assert (len(judged.found[HALL]), len(judged.false)) == ((1, 0) if is_of else (0, 1))


def test_the_time_to_find_is_that_of_the_first_finding() -> None:
    judged = judge([HALL], [finding("press-01", 140.0), finding("press-01", 190.0)], signals=2)
    (kind,) = kinds([judged])
    assert (kind.found, kind.of, kind.after_s, kind.by) == (1, 1, 40.0, ("topic_scan",))
    assert "| scan | 1 of 1 | 40 s | `topic_scan` |" in markdown([judged])


def test_faults_are_no_attacks() -> None:
    faults = list(Plant(1, DEVICES).faults())
    assert not [each for each in faults if each.is_attack]
    assert {each.end_s - each.start_s <= DAY_S for each in faults} == {True}
