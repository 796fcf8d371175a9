"""schemathesis reads the served description and asks everything that it allows, and what it does not."""

from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from bartizan.api.rest import describe
from tests.integration.api import Api, serving

SCHEMA = (
    schemathesis.openapi.from_dict(describe())
    .exclude(path_regex=r"^/session$|^/session/|^/reload$|^/events$|^/policy$")
    .exclude(path="/traces", method="POST")
)
"""Logins have tests of their own: what is made up here would end them. So have streams that go on, and the policy."""


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serving(None, "api.requests_per_s=100000", "api.proof_s=86400") as running:
        yield running


@pytest.fixture(scope="module")
def session(api: Api) -> Iterator[requests.Session]:
    """One connection for all, logged in with every role."""
    with requests.Session() as opened:
        opened.verify = api.broker.ca_file
        opened.headers["authorization"] = api.as_("viewer", "operator", "security", "admin").headers["authorization"]
        yield opened


@SCHEMA.parametrize()
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_it_is_described(case, api, session):
    # A look that takes a minute tells no more than one that takes none.
    (case.query or {}).pop("over_s", None)
    answer = case.call(base_url=api.url, session=session, verify=api.broker.ca_file)
    case.validate_response(
        answer,
        checks=(CHECKS.get_by_names(["not_a_server_error", "response_schema_conformance", "content_type_conformance"])),
    )
