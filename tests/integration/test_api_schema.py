"""schemathesis reads the served description and asks everything that it allows, and what it does not."""

from collections.abc import Iterator
from http import HTTPStatus

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from bartizan.api.rest import describe
from tests.integration.api import Api, serving

SCHEMA = (
    schemathesis.openapi.from_dict(describe())
    .exclude(path="/events", method="GET")
    .exclude(path="/session", method="DELETE")
)
"""A stream of events goes on for as long as its login, and without a login nothing is asked: both have tests of their own."""


NO_HTTP = "Invalid HTTP request received."
"""What is made up may be no HTTP at all, by an octet in a header: that ends before the API, and no page describes it."""

HEAD_BYTES_MAX = 65_536
"""Of what is longer the server does not wait for the end: who is still sending finds the connection closed."""

ROLES = {"viewer", "operator", "security", "admin"}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=100000", "api.proof_s=86400") as running:
        yield running


@pytest.fixture(scope="module")
def session(api: Api) -> Iterator[requests.Session]:
    """One connection for all, logged in with every role."""
    with requests.Session() as opened:
        opened.verify = api.broker.ca_file
        opened.headers["authorization"] = api.as_(*ROLES).headers["authorization"]
        yield opened
        # Else what came after the end of this login was refused, and passed.
        still = opened.get(f"{api.url}/session", verify=api.broker.ca_file)
        assert (still.status_code, set(still.json()["roles"])) == (200, ROLES)


@SCHEMA.parametrize()
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_it_is_described(case, api, session):
    # A look that takes a minute tells no more than one that takes none.
    (case.query or {}).pop("over_s", None)
    if case.operation.label == "POST /traces" and isinstance(case.body, dict):
        # It goes on for so long, and by itself for a minute.
        case.body["for_s"] = 0.1
    try:
        answer = case.call(base_url=api.url, session=session, verify=api.broker.ca_file)
    except requests.ConnectionError as error:
        if error.request is None or len(str(error.request.url)) <= HEAD_BYTES_MAX:
            raise
        return
    if answer.status_code == HTTPStatus.BAD_REQUEST and answer.text == NO_HTTP:
        return
    case.validate_response(
        answer,
        checks=(CHECKS.get_by_names(["not_a_server_error", "response_schema_conformance", "content_type_conformance"])),
    )
