"""A change as people ask for it: gain this, lose that, leave the rest."""

from datetime import UTC, datetime, timedelta

import pytest

from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.edit import Edit, Names
from bartizan.identity.register import new_identity
from bartizan.model.group import acting_roles
from bartizan.model.ids import AttributeName, RoleName
from bartizan.model.principal import IdentityState

AT = datetime(2026, 11, 20, tzinfo=UTC)
PRESS = new_identity(
    "press-01", at=AT, roles=["press", "reader"], attributes={"site": "chicago"}, owner="me", note="line 3"
)


def test_what_is_not_named_stays():
    assert Edit().apply(PRESS) == PRESS


def test_roles_are_gained_and_lost_in_order_and_once():
    edit = Edit(roles=Names.parse(RoleName, ["operator", "press"], ["reader"]))
    assert edit.apply(PRESS).roles == ("press", "operator")


def test_what_it_has_not_cannot_be_lost():
    with pytest.raises(NotFound, match="press-01 has no role 'operator'"):
        Edit(roles=Names.parse(RoleName, [], ["operator"])).apply(PRESS)
    with pytest.raises(NotFound, match="no attribute 'line'"):
        Edit(attributes_removed=(AttributeName("line"),)).apply(PRESS)


def test_gaining_and_losing_one_name_at_once_is_a_mistake():
    with pytest.raises(InvalidValue):
        Names.parse(RoleName, ["a"], ["a"])


def test_attributes_and_remarks_are_set_and_removed():
    edit = Edit(
        attributes=((AttributeName("line"), "3"),), attributes_removed=(AttributeName("site"),), owner="", note="new"
    )
    after = edit.apply(PRESS)
    assert (dict(after.attributes), after.owner, after.note) == ({"line": "3"}, "", "new")
    with pytest.raises(InvalidValue):
        Edit(note="two\nlines").apply(PRESS)


def test_a_quarantine_has_a_time_and_a_reason_and_another_state_has_neither():
    until = AT + timedelta(2)
    quarantine = Edit(
        state=IdentityState.QUARANTINED,
        quarantined_until=until,
        quarantine_reason="odd",
        quarantine_ticket="INC-4711",
        by="alice",
    )
    after = quarantine.apply(PRESS)
    assert (after.state_at(AT), after.state_at(until)) == (IdentityState.QUARANTINED, IdentityState.ENABLED)
    assert after.refusal(AT) is None
    assert (after.quarantine_ticket, after.quarantined_by) == ("INC-4711", "alice")
    assert acting_roles(after, {}, AT) == ("quarantine",)
    assert acting_roles(after, {}, until) == PRESS.roles
    assert after.refusal(until) is None
    released = Edit(state=IdentityState.ENABLED).apply(after)
    assert (released.quarantined_until, released.quarantine_reason) == (None, "")
    with pytest.raises(InvalidValue, match="--state quarantined"):
        Edit(quarantined_until=until)
    with pytest.raises(InvalidValue, match="--state quarantined"):
        Edit(state=IdentityState.ENABLED, quarantine_ticket="INC-4711")
    assert Edit(state=IdentityState.DISABLED, by="alice").apply(after).quarantined_by == ""


@pytest.mark.parametrize("state", [IdentityState.DISABLED, IdentityState.REVOKED])
def test_neither_a_disabled_nor_a_revoked_identity_may_connect(state):
    assert str(Edit(state=state).apply(PRESS).refusal(AT)) == f"the identity is {state.value}"
