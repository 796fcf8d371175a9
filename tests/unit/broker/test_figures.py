"""What is measured of authentications: how long, how they ended, and never a label that a client chose."""

import asyncio

import pytest

from bartizan.authn.base import ConnectRequest, Verdict
from bartizan.broker.authenticate import Desk
from bartizan.broker.figures import (
    METHODS_MAX,
    OTHER,
    ROLES_MAX,
    Authenticated,
    ByRole,
    Figures,
    Histogram,
    RoleActivity,
    TimedDesk,
)
from bartizan.broker.ports import Allow, Deny, Proceed, Question
from bartizan.model.ids import RoleName
from bartizan.model.principal import Principal
from bartizan.model.reason import ReasonCode

REQUEST = ConnectRequest(client_id="press-01", listener="mqtts", address="192.0.2.7")
PASSWORD = ConnectRequest(client_id="press-01", listener="mqtts", address="192.0.2.7", password=b"wrong")


def allowed(method: str = "password", *roles: str) -> Allow:
    return Allow(1, Principal(identity="press-01", roles=tuple(map(RoleName, roles)), method=method), managed=True)


def test_a_histogram_counts_what_is_not_above_each_bound():
    histogram = Histogram((0.1, 1.0))
    for took_s in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(took_s)
    found = histogram.read()
    assert list(found.buckets) == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert found.sum == pytest.approx(7.65)


@pytest.mark.parametrize(
    ("request_", "answer", "method", "outcome"),
    [
        (PASSWORD, allowed("certificate"), "certificate", "allowed"),
        (PASSWORD, Deny(1, ReasonCode.BAD_USER_NAME_OR_PASSWORD, "no"), "password", "refused"),
        (REQUEST, Deny(1, ReasonCode.SERVER_UNAVAILABLE, "late"), "none", "unavailable"),
        (ConnectRequest("c", "mqtts", "a", authentication_method="mine"), Proceed(1, b""), "exchange", "challenged"),
    ],
)
def test_an_answer_is_counted_by_listener_method_and_outcome(request_, answer, method, outcome):
    figures = Figures()
    figures.answered(request_, answer, 0.02)
    [(of, took)] = figures.authentications.items()
    assert of == Authenticated("mqtts", method, outcome)
    assert took.buckets[-1] == ("+Inf", 1)
    assert figures.authentications_of(outcome) == 1
    assert figures.authentications_of("another") == 0


def test_methods_and_roles_beyond_their_number_are_one():
    figures = Figures()
    for number in range(max(METHODS_MAX, ROLES_MAX) + 20):
        figures.answered(REQUEST, allowed(f"method-{number}", f"role-{number}"), 0.001)
    methods = [of.method for of in figures.authentications]
    assert len(methods) == METHODS_MAX + 1
    assert OTHER in methods
    assert len(figures.roles) == ROLES_MAX + 1
    assert figures.roles[OTHER] == 20


def test_each_role_of_a_client_counts():
    figures = Figures()
    figures.answered(REQUEST, allowed("password", "press", "logger"), 0.001)
    figures.answered(PASSWORD, Deny(1, ReasonCode.NOT_AUTHORIZED, "no"), 0.001)
    assert figures.roles == {"press": 1, "logger": 1}


class Slow:
    async def decide(self, request: ConnectRequest) -> Verdict:
        await asyncio.sleep(0.03)
        return Verdict.deny(ReasonCode.NOT_AUTHORIZED, "nobody")


async def settled() -> None:
    """At once."""


def test_a_desk_is_timed_until_its_answer():
    figures = Figures()
    answer = asyncio.run(TimedDesk(Desk(Slow(), settled), figures).answer(Question(4, REQUEST)))
    assert answer == Deny(4, ReasonCode.NOT_AUTHORIZED, "nobody")
    [took] = figures.authentications.values()
    assert took.sum >= 0.03


def test_what_shards_counted_of_a_role_is_added_up_and_roles_beyond_their_number_are_one():
    by_role = ByRole()
    by_role.add([{"roles": [["press", 2, 30, 1]]}, {"roles": [["press", 1, 5, 0]]}])
    assert by_role.read() == {"press": RoleActivity(publishes=3, octets=35, denied=1)}
    by_role.add([{"roles": [[f"role-{number}", 1, 1, 1] for number in range(ROLES_MAX + 4)]}])
    assert len(by_role.read()) == ROLES_MAX + 1
    assert by_role.read()[OTHER] == RoleActivity(5, 5, 5)
