"""Who guesses waits longer and longer; who did not, waits for nobody, or for a moment at most."""

import pytest

from bartizan.authn import backoff
from bartizan.authn.backoff import OTHERS_MAX_S, PENDING_MAX, Backoff, TooSoon
from bartizan.config.authenticators import PasswordSettings

HOME, NEIGHBOUR, ELSEWHERE = "192.0.2.1", "192.0.2.77", "198.51.100.9"


class Scene:
    """Clients at addresses, and a clock that stands still unless it is told."""

    def __init__(self, **settings) -> None:
        self.now = 1000.0
        self.settings = PasswordSettings(**settings)
        self.backoff = Backoff(self.settings, lambda: self.now)

    def guess(self, address: str = HOME, name: str = "press-01", *, right: bool = False) -> float:
        """How long one has to wait before this guess is judged; 0: it was."""
        try:
            attempt = self.backoff.begin(address, name)
        except TooSoon as early:
            return early.wait_s
        (self.backoff.succeeded if right else self.backoff.failed)(attempt)
        return 0.0

    def fail_for(self, seconds: float, address: str = HOME, name: str = "press-01") -> int:
        """Guesses as often as it is let, for so long; how often that was."""
        ends, judged = self.now + seconds, 0
        while self.now < ends:
            wait_s = self.guess(address, name)
            judged += not wait_s
            self.now += wait_s or 0.01
        return judged

    def wait_of(self, address: str = HOME, name: str = "press-01") -> float:
        """Guesses wrongly until it has to wait; how long."""
        while not (wait_s := self.guess(address, name)):
            pass
        return wait_s


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_first_failures_cost_nothing_and_then_each_doubles_the_wait():
    scene = Scene(forgiven_every_s=86_400)
    assert [scene.guess() for _ in range(3)] == [0, 0, 0]
    waits = []
    for _ in range(8):
        waits.append(round(scene.guess()))
        scene.now += waits[-1]
        assert scene.guess() == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_refused_guess_does_not_lengthen_the_wait(scene):
    scene.fail_for(20)
    wait_s = scene.wait_of()
    for _ in range(1000):
        scene.guess()
    scene.now += wait_s
    assert scene.guess(right=True) == 0


def test_a_day_of_guessing_at_one_name_is_few_guesses(scene):
    assert scene.fail_for(86_400) < 1600


def test_a_strangers_failures_elsewhere_never_delay_the_owner(scene):
    for at in range(500):
        scene.fail_for(30, f"198.51.{at % 250}.{at % 7}")
    assert scene.guess(HOME, right=True) == 0


def test_a_strangers_failures_at_another_address_of_the_network_never_delay_the_owner(scene):
    scene.fail_for(3600, NEIGHBOUR)
    scene.fail_for(3600, NEIGHBOUR, "any")
    assert scene.guess(HOME, right=True) == 0


def test_where_he_is_usual_a_stranger_behind_the_same_address_delays_the_owner_for_a_moment_at_most(scene):
    assert scene.guess(right=True) == 0
    scene.fail_for(3600)
    assert scene.wait_of() <= OTHERS_MAX_S
    scene.now += OTHERS_MAX_S
    assert scene.guess(right=True) == 0
    assert scene.guess(right=True) == 0


def test_where_one_is_usual_failures_at_other_names_delay_nobody(scene):
    assert scene.guess(right=True) == 0
    for at in range(2000):
        scene.guess(name=f"guessed-{at}")
        scene.now += 1
    assert scene.guess(right=True) == 0


def test_a_new_client_behind_a_guessing_address_waits_for_a_moment_at_most(scene):
    for at in range(5000):
        scene.guess(name=f"guessed-{at}")
    assert scene.guess(name="new") <= OTHERS_MAX_S
    scene.now += OTHERS_MAX_S
    assert scene.guess(name="new", right=True) == 0


def test_one_password_at_many_names_is_slowed_down_too(scene):
    judged = sum(scene.guess(name=f"name-{at}") == 0 for at in range(1000))
    assert judged == scene.settings.free_failures_per_network


def test_the_next_address_of_the_network_is_no_fresh_start(scene):
    for at in range(8):
        assert scene.guess(f"192.0.2.{at}") == 0
    assert scene.guess("192.0.2.7") > 8


def test_an_ipv6_network_is_a_64_and_a_mapped_address_is_ipv4(scene):
    for at in range(4):
        scene.guess(f"2001:db8::{at}")
    assert scene.guess("2001:db8::ffff") > 0
    assert scene.guess("2001:db8:0:1::1") == 0
    for _ in range(4):
        scene.guess("::ffff:192.0.2.1")
    assert scene.guess("192.0.2.1") > 0


def test_the_ipv4_network_is_the_operators_choice():
    scene = Scene(network_ipv4_bits=32)
    for at in range(40):
        assert scene.guess(f"192.0.2.{at}") == 0


@pytest.mark.parametrize("address", ["", "unix:/run/bartizan.sock", "no address"])
def test_what_is_no_address_is_one_place(scene, address):
    for _ in range(4):
        scene.guess(address)
    assert scene.guess(address) > 0


def test_failures_are_forgiven_with_time(scene):
    for _ in range(3):
        scene.guess()
    scene.now += 181
    assert [scene.guess() for _ in range(3)] == [0, 0, 0]


def test_the_right_password_forgives_all_failures_of_its_name(scene):
    for _ in range(3):
        scene.guess()
    scene.now += 1
    assert scene.guess(right=True) == 0
    assert [scene.guess() for _ in range(3)] == [0, 0, 0]


def test_guesses_under_way_at_once_are_few(scene):
    under_way = [scene.backoff.begin(HOME, "press-01") for _ in range(PENDING_MAX)]
    with pytest.raises(TooSoon):
        scene.backoff.begin(HOME, "press-01")
    for attempt in under_way:
        scene.backoff.withdrawn(attempt)
    assert scene.guess(right=True) == 0
    assert [scene.backoff.begin(HOME, "press-01") for _ in range(100)]


def test_what_is_kept_is_bounded_and_strangers_push_out_no_usual_place(scene, monkeypatch):
    monkeypatch.setattr(backoff, "ENTRIES_MAX", 100)
    assert scene.guess(right=True) == 0
    for at in range(1000):
        scene.guess(f"2001:db8:{at:x}::1", f"name-{at}")
    kept = scene.backoff
    assert all(len(table) <= 100 for table in (kept._networks, kept._names, kept._last, kept._usual))
    assert kept._pending == {}
    scene.fail_for(3600)
    assert scene.guess() <= OTHERS_MAX_S


def test_a_long_name_costs_no_more_memory_than_a_short_one(scene):
    scene.guess(name="x" * 65_535)
    assert max(len(name) for _, name in scene.backoff._names) <= 256
