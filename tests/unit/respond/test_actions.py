"""Actions on identities: what they write, what they ask of a broker that runs, what they tell."""

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.errors import Conflict, NotFound
from bartizan.identity.register import Register, certificate_credential, new_identity, password_credential
from bartizan.model.ending import Ended, EndedSession
from bartizan.model.principal import IdentityState
from bartizan.respond.actions import Actions, outcome
from bartizan.respond.live import Live
from bartizan.store.memory import MemoryIdentityStore

AT = datetime(2026, 11, 22, tzinfo=UTC)
SESSION = EndedSession("press-01", "press-01", None, True, 1, 2, 3, True)


class Broker(Live):
    """Writes, and says that one Session ended."""

    def __init__(self, *roles: str) -> None:
        self.cleared: list[list[str]] = []
        self._roles = roles

    @property
    def role_names(self) -> Collection[str]:
        return self._roles

    async def change(self, write: Callable[[], Awaitable[object]], *, clears_retained: Collection[str] = ()) -> Ended:
        await write()
        self.cleared.append(list(clears_retained))
        return Ended((SESSION,), len(clears_retained))


@pytest.fixture
async def register() -> Register:
    register = Register(MemoryIdentityStore())
    await register.add(new_identity("press-01", at=AT, roles=["press"], note="line 3"))
    await register.add_credential("press-01", password_credential("correct horse battery", at=AT))
    certificate = certificate_credential(
        fingerprint_sha256="ab" * 32, serial_hex="0f", not_after=AT + timedelta(90), at=AT
    )
    await register.add_credential("press-01", certificate)
    return register


async def test_revoked_is_written_put_in_force_and_told_item_by_item(register):
    live = Broker()
    done = await Actions(register, live).revoke("press-01", at=AT, note="stolen", clears_retained=True)
    kept = await register.get("press-01")
    assert (kept.state, kept.note) == (IdentityState.REVOKED, "stolen")
    assert all(item.revoked_at == AT for item in kept.credentials)
    assert (done.before, done.after, done.is_in_force) == (IdentityState.ENABLED, IdentityState.REVOKED, True)
    assert done.credentials_ended == tuple(item.id for item in kept.credentials)
    assert done.serials_blocked == ("0f",)
    assert done.ended == Ended((SESSION,), 1)
    assert live.cleared == [["press-01"]]


async def test_revoked_again_tells_only_what_is_new(register):
    actions = Actions(register, None)
    await actions.revoke("press-01", at=AT)
    done = await actions.revoke("press-01", at=AT + timedelta(1))
    assert (done.credentials_ended, done.serials_blocked, done.is_in_force) == ((), (), False)
    assert (await register.get("press-01")).note == "line 3"


async def test_quarantine_and_release_leave_all_else_as_it_was(register):
    actions, before = Actions(register, Broker()), await register.get("press-01")
    until = AT + timedelta(hours=2)
    await actions.quarantine("press-01", until=until, reason="odd, INC-2")
    kept = await register.get("press-01")
    assert (kept.state, kept.quarantined_until, kept.quarantine_reason) == (
        IdentityState.QUARANTINED,
        until,
        "odd, INC-2",
    )
    await actions.release("press-01")
    after = await register.get("press-01")
    assert (after.roles, after.state, after.quarantined_until, after.quarantine_reason) == (
        before.roles,
        IdentityState.ENABLED,
        None,
        "",
    )


async def test_what_cannot_be_done_changes_nothing(register):
    actions = Actions(register, Broker())
    with pytest.raises(NotFound):
        await actions.revoke("nobody", at=AT)
    with pytest.raises(Conflict, match="not in quarantine"):
        await actions.release("press-01")
    await actions.revoke("press-01", at=AT)
    with pytest.raises(Conflict, match="may not connect at all"):
        await actions.quarantine("press-01", until=None, reason="")
    assert (await register.get("press-01")).state is IdentityState.REVOKED


@pytest.mark.parametrize(("roles", "lacks"), [(("press",), True), (("press", "quarantine"), False)])
async def test_who_is_put_into_quarantine_without_a_role_for_that_is_told_to_may_do_nothing(register, roles, lacks):
    done = await Actions(register, Broker(*roles)).quarantine("press-01", until=None, reason="")
    assert (done.lacks_role, "may do nothing" in outcome(done)) == (lacks, lacks)
    assert not (await Actions(register, Broker(*roles)).release("press-01")).lacks_role
