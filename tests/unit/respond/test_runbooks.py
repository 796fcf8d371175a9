"""A runbook: what is done in which order, and what is told when a step fails."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from bartizan.config.runbooks import Runbook
from bartizan.identity.register import Register, new_identity
from bartizan.model.principal import IdentityState
from bartizan.model.throttle import Throttle
from bartizan.respond.actions import Actions
from bartizan.respond.bans import Bans
from bartizan.respond.runbooks import Hands, Occasion, run
from bartizan.store.memory import MemoryIdentityStore

AT = datetime(2026, 11, 22, tzinfo=UTC)
OCCASION = Occasion(AT, "anna", "runbook stolen; INC-1")


class Notes(Hands):
    """Acts on the store alone, and notes whom it disconnects."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self.cut: list[tuple[str, str]] = []

    @property
    def actions(self) -> Actions:
        return Actions(self._register, None)

    @property
    def bans(self) -> Bans:
        return Bans(self._register.store, None)

    async def throttle(self, throttle: Throttle) -> None:
        self.throttled = throttle

    async def disconnect_identity(self, identity: str, reason: int) -> int:
        self.cut.append(("identity", identity))
        return 2

    async def disconnect_address(self, prefix: str, reason: int) -> int:
        self.cut.append(("address", prefix))
        return 2


@pytest.fixture
async def register() -> Register:
    register = Register(MemoryIdentityStore())
    await register.add(new_identity("press-01", at=AT, roles=["press"]))
    return register


def runbook(*steps: object, **other: object) -> Runbook:
    made = [{"action": step} if isinstance(step, str) else step for step in steps]
    return Runbook.model_validate({"steps": made, **other})


async def test_steps_are_done_in_their_order_and_each_is_told(register):
    hands = Notes(register)
    steps = runbook("disconnect", {"action": "quarantine", "hours": 8}, {"action": "ban", "hours": 2})
    done = await run("stolen", steps, "press-01", hands, OCCASION)
    assert (done.failed, done.left) == (None, ())
    assert [(step.action, step.text.split(",")[0]) for step in done.done] == [
        ("disconnect", "2 connections ended"),
        ("quarantine", "it was enabled and is quarantined"),
        ("ban", "banned"),
    ]
    assert hands.cut == [("identity", "press-01")]
    held = await register.get("press-01")
    assert (held.quarantined_until, held.quarantine_reason, held.quarantined_by) == (
        AT + timedelta(hours=8),
        "runbook stolen; INC-1",
        "anna",
    )
    (ban,) = await register.store.bans()
    assert (ban.of, ban.what, ban.until, ban.by) == ("identity", "press-01", AT + timedelta(hours=2), "anna")


async def test_it_stops_at_what_fails_and_says_what_was_done_and_what_not(register):
    steps = runbook("quarantine", "revoke", "quarantine", "ban", "disconnect")
    done = await run("stolen", steps, "press-01", Notes(register), OCCASION)
    assert [step.action for step in done.done] == ["quarantine", "revoke"]
    assert done.failed is not None
    assert (done.failed.action, "may not connect" in done.failed.text, done.left) == (
        "quarantine",
        True,
        ("ban", "disconnect"),
    )
    assert done.text.endswith("not done: ban, disconnect")
    assert (await register.get("press-01")).state is IdentityState.REVOKED
    assert await register.store.bans() == []


async def test_a_throttle_has_its_rate_and_its_end(register):
    hands, steps = Notes(register), runbook({"action": "throttle", "hours": 2, "messages_per_s": 5})
    done = await run("slow", steps, "press-01", hands, OCCASION)
    assert done.done[0].text == "throttled to 5 messages a second"
    assert (hands.throttled.messages_per_s, hands.throttled.until) == (5, AT + timedelta(hours=2))


async def test_about_nobody_the_first_step_fails_and_nothing_is_done(register):
    done = await run("stolen", runbook("revoke", "ban"), "nobody", Notes(register), OCCASION)
    assert (done.done, done.left) == ((), ("ban",))
    assert done.text == "revoke failed: there is no identity 'nobody'; not done: ban"


async def test_about_an_address_it_is_the_address_that_is_banned(register):
    hands, steps = Notes(register), runbook("ban", "disconnect", about="address")
    done = await run("out", steps, "192.0.2.0/24", hands, OCCASION)
    assert done.failed is None
    assert [(ban.of, ban.what) for ban in await register.store.bans()] == [("address", "192.0.2.0/24")]
    assert hands.cut == [("address", "192.0.2.0/24")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": []},
        {"steps": [{"action": "restart"}]},
        {"steps": [{"action": "revoke", "hours": 1}]},
        {"steps": [{"action": "ban", "clear_retained": True}]},
        {"about": "address", "steps": [{"action": "revoke"}]},
        {"steps": [{"action": "ban"}] * 17},
    ],
)
def test_what_is_no_runbook_is_refused(wrong):
    with pytest.raises(ValidationError):
        Runbook.model_validate(wrong)
