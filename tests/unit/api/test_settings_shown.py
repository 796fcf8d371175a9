"""What is shown of the settings opens nothing."""

import pytest

from bartizan.api.routes.broker import without_secrets


@pytest.mark.parametrize(
    ("name", "url", "shown"),
    [
        ("alert_url", "https://chat.example/hooks/T1/s3cret", "https://chat.example/(hidden)"),
        ("alert_url", "https://alarm.example", "https://alarm.example"),
        ("webhook_url", "https://who.example/ask?key=s3cret", "https://who.example/ask?(hidden)"),
        ("introspection_url", "https://idp.example/introspect", "https://idp.example/introspect"),
        ("ldap_url", "ldaps://dir.example:636", "ldaps://dir.example:636"),
    ],
)
def test_a_url_is_shown_without_what_lets_somebody_in(name, url, shown):
    told = without_secrets({"alerts": {"soc": {name: url, "kind": "webhook"}}, "more": [{name: url}], "port": 1})
    assert told == {"alerts": {"soc": {name: shown, "kind": "webhook"}}, "more": [{name: shown}], "port": 1}
