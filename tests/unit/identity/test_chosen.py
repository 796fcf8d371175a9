"""Everybody with a role, or whose name fits: who is meant, and by what a preview is known again."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bartizan.errors import NotFound
from bartizan.identity.chosen import chosen, mark_of
from bartizan.identity.register import Register, new_group, new_identity
from bartizan.model.principal import IdentityState
from bartizan.store.memory import MemoryIdentityStore

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def register() -> Register:
    made = Register(MemoryIdentityStore())
    await made.add_group(new_group("line-3", at=AT, roles=["press"]))
    each: tuple[tuple[str, IdentityState, dict[str, Any]], ...] = (
        ("press-1", IdentityState.ENABLED, {"roles": ["press"]}),
        ("press-2", IdentityState.ENABLED, {"groups": ["line-3"]}),
        ("press-3", IdentityState.QUARANTINED, {"roles": ["press"]}),
        ("press-4", IdentityState.REVOKED, {"roles": ["press"]}),
        ("press-5", IdentityState.DISABLED, {"roles": ["press"]}),
        ("dash-1", IdentityState.ENABLED, {"roles": ["dashboard"]}),
    )
    for name, state, words in each:
        await made.add(replace(new_identity(name, at=AT, **words), state=state))
    return made


@pytest.mark.anyio
async def test_by_role_are_those_who_act_in_it_also_by_a_group(register):
    assert await chosen(register, "press", None, at=AT) == ("press-1", "press-2", "press-5")
    assert await chosen(register, "quarantine", None, at=AT) == ("press-3",)


@pytest.mark.anyio
async def test_by_name_are_all_but_those_who_are_revoked(register):
    assert await chosen(register, None, "press-*", at=AT) == ("press-1", "press-2", "press-3", "press-5")


@pytest.mark.anyio
async def test_in_quarantine_they_are_found_by_the_roles_that_they_have_outside(register):
    assert await chosen(register, "press", None, at=AT, in_quarantine=True) == ("press-3",)
    assert await chosen(register, None, "*", at=AT, in_quarantine=True) == ("press-3",)


@pytest.mark.anyio
async def test_who_is_not_seen_is_not_meant_and_nobody_is_an_error(register):
    seen = await chosen(register, None, "*", at=AT, is_seen=lambda identity: identity.name == "dash-1")
    assert seen == ("dash-1",)
    with pytest.raises(NotFound):
        await chosen(register, "nothing", None, at=AT)


def test_a_mark_is_of_an_action_and_of_exactly_these():
    assert mark_of("revoke", ["a", "b"]) == mark_of("revoke", ["b", "a"])
    others = [mark_of("quarantine", ["a", "b"]), mark_of("revoke", ["a"]), mark_of("revoke", ["ab"])]
    assert len({mark_of("revoke", ["a", "b"]), *others}) == 4
