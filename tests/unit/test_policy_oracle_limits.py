"""What bounds an identity of several roles, against the oracle: ages of credentials and namings, by the compiled policy.

Limits the engine alone puts together; `oracle_cases` asks it for those.
"""

import json

from hypothesis import given, settings

from tests.oracle import credential_days_max, namings, tenant_limits
from tests.unit.policy.strategies import compiled_of
from tests.unit.policy.strategies_messages import bounded, identities_roles


@settings(max_examples=500, deadline=None)
@given(bounded(), identities_roles)
def test_what_several_roles_say_is_put_together_as_the_oracle_does(policy, roles):
    native = compiled_of(policy)
    assert native.credential_days_max(roles) == credential_days_max(policy, roles)
    assert set(native.client_ids(roles)) == namings(policy, roles, "client_id")
    assert set(native.user_names(roles)) == namings(policy, roles, "user_name")


@settings(max_examples=200, deadline=None)
@given(bounded())
def test_the_engine_is_told_the_limits_that_the_policy_says(policy):
    native = compiled_of(policy)
    image = json.loads(native.image)
    assert {role["name"]: role["limits"] for role in image["roles"]} == {
        name: role["limits"] for name, role in policy["roles"].items()
    }
    told = {each["name"]: (each["root"], each.get("limits", {})) for each in image.get("tenants", ())}
    assert told == {name: tenant_limits(policy, name) for name in policy.get("tenants", {})}
