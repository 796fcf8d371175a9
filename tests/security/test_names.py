"""`client_id` of a role, on real connections."""

import pytest

from tests.conformance.packets import v5
from tests.conformance.received import Connack
from tests.security.party import NOT_AUTHORIZED, SUCCESS, party

POLICY = """
[roles.line]
client_id = ["identity", "line-*"]

[roles.guest]
client_id = "assigned"

[roles.plain]
"""
NOT_VALID = 0x85


@pytest.mark.parametrize(
    ("name", "client_id", "expected"),
    [
        ("press-01", "line-7", SUCCESS),
        ("press-01", "press-01-a", SUCCESS),
        ("press-01", "press-02", NOT_AUTHORIZED),
        ("press-01", "line-9", NOT_AUTHORIZED),
        ("visitor", "", SUCCESS),
        ("visitor", "visitor", NOT_VALID),
        ("press-02", "line-7", NOT_AUTHORIZED),
        ("press-02", "press-02", SUCCESS),
    ],
)
def test_a_client_identifier_is_one_that_the_roles_admit(name, client_id, expected):
    with party(POLICY) as plant:
        plant.enrol("press-01", "line")
        plant.enrol("press-02", "plain")
        plant.enrol("visitor", "guest")
        plant.enrol("line-9", "plain")
        plant.connect(name, client_id=client_id, expect=expected)


def test_what_is_assigned_begins_with_the_identity_and_a_new_policy_changes_the_rule():
    with party(POLICY) as plant:
        plant.enrol("visitor", "guest", password=True)
        bundle = plant.names["visitor"]
        wire = plant.dial(bundle)
        wire.send(v5.connect("", username=bundle.user_name, password=(bundle.password or "").encode()))
        connack = wire.expect(Connack, reason=SUCCESS, within_s=5)
        assert str(connack.properties["assigned_client_identifier"]).startswith("visitor-")
        plant.broker.apply_policy(POLICY.replace('"assigned"', '"identity"'))
        plant.connect("visitor", client_id="visitor-mine")
