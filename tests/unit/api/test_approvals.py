"""What waits for a second operator is bounded in number, size and time, and keeps nothing that opens anything."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from bartizan.api import approvals as module
from bartizan.api.approvals import Approvals, Waiting
from bartizan.api.caller import Caller
from bartizan.api.permissions import Permission
from bartizan.api.rest import describe
from bartizan.api.sessions import Sessions
from bartizan.audit.trail import Trail
from bartizan.config.api import Act, ApiSettings
from bartizan.config.audit import AuditSettings
from bartizan.errors import Conflict, NotFound
from bartizan.identity.operators import new_operator
from bartizan.model.actor import Actor, Way
from bartizan.model.operator import OperatorFactor, OperatorProof, OperatorRole
from bartizan.store.memory import MemoryIdentityStore

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
ALICE = Caller(Actor("alice", "192.0.2.1", Way.SESSION), (OperatorRole.SECURITY,))
OWNER = Caller(Actor("uid:0", "", Way.SOCKET), tuple(OperatorRole))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """The time, as a test sets it."""

    at = BEGUN

    def __call__(self) -> datetime:
        return self.at


def asking(body: bytes = b'{"note": "x"}') -> Request:
    sent: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return sent.pop()

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/identities/x/revocation",
        "raw_path": b"/api/v1/identities/x/revocation",
        "root_path": "/api/v1",
        "query_string": b"a=b",
        "path_params": {"name": "x"},
        "headers": [
            (b"authorization", b"Bearer bzs_secret"),
            (b"cookie", b"__Host-bartizan=bzs_secret"),
            (b"idempotency-key", b"k"),
            (b"content-type", b"application/json"),
            (b"if-match", b'"7"'),
        ],
        "state": {"caller": ALICE},
    }
    return Request(scope, receive)


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.of(tmp_path / "audit", AuditSettings(), ALICE.actor)


async def waiting(approvals: Approvals, trail: Trail, body: bytes = b'{"note": "x"}') -> Waiting:
    await approvals.ask(asking(body), Act.REVOKE, Permission.REVOKE, trail)
    return (await approvals.everything())[-1]


def made(*acts: Act, clock: Clock | None = None, store: MemoryIdentityStore | None = None) -> Approvals:
    return Approvals(ApiSettings(two_person=acts, approval_s=60), clock or Clock(), store or MemoryIdentityStore())


@pytest.mark.anyio
async def test_no_login_is_kept_with_it(trail):
    found = await waiting(made(Act.REVOKE), trail)
    assert found.scope["headers"] == [(b"content-type", b"application/json"), (b"if-match", b'"7"')]
    assert "secret" not in repr(found)
    assert found.in_full()["body"] == {"note": "x"}
    assert "body" not in found.as_dict()


@pytest.mark.anyio
async def test_it_waits_for_so_long(trail):
    clock = Clock()
    approvals = made(Act.REVOKE, clock=clock)
    found = await waiting(approvals, trail)
    clock.at = BEGUN + timedelta(seconds=59)
    assert await approvals.find(found.id) == found
    clock.at = BEGUN + timedelta(seconds=60)
    with pytest.raises(NotFound):
        await approvals.find(found.id)
    assert await approvals.everything() == []


@pytest.mark.anyio
async def test_nothing_is_done_by_who_asked_nor_once_it_has_waited_too_long(trail):
    clock, done = Clock(), list[str]()
    approvals = made(Act.REVOKE, clock=clock)

    async def doing(request: Request) -> Response:
        done.append(request.state.caller.actor.name)
        return Response()

    await approvals.ask(asking(), Act.REVOKE, Permission.REVOKE, trail)
    (found,) = await approvals.everything()
    alice = new_operator("alice", at=BEGUN, roles=["security"])
    logins = Sessions(ApiSettings(), clock)
    proof = OperatorProof(alice.name, alice.roles, "", frozenset(), BEGUN)
    again = replace(ALICE, session=logins.open(proof, alice, "192.0.2.7")[1])
    with pytest.raises(Conflict):
        await approvals.approve(found, asking(), again, alice, doing)
    berta = replace(again, actor=Actor("berta", "192.0.2.2", Way.SESSION))
    clock.at = BEGUN + timedelta(seconds=60)
    with pytest.raises(NotFound):
        await approvals.approve(found, asking(), berta, alice, doing)
    assert done == []
    clock.at = BEGUN + timedelta(seconds=59)
    await approvals.ask(asking(), Act.REVOKE, Permission.REVOKE, trail)
    await approvals.approve((await approvals.everything())[-1], asking(), berta, alice, doing)
    assert done == ["alice"]


@pytest.mark.anyio
async def test_what_waits_is_bounded(monkeypatch, trail):
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 10)
    approvals = made(Act.REVOKE)
    await waiting(approvals, trail, b"123456")
    with pytest.raises(Conflict):
        await waiting(approvals, trail, b"12345")
    await waiting(approvals, trail, b"1234")
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    with pytest.raises(Conflict):
        await waiting(approvals, trail, b"")


@pytest.mark.anyio
async def test_one_operator_fills_the_line_for_no_other(monkeypatch, trail):
    monkeypatch.setattr(module, "WAITING_OF_ONE_MAX", 1)
    approvals = made(Act.REVOKE)
    await waiting(approvals, trail)
    with pytest.raises(Conflict):
        await waiting(approvals, trail)
    request = asking()
    request.state.caller = replace(ALICE, actor=Actor("berta", "192.0.2.2", Way.SESSION))
    await approvals.ask(request, Act.REVOKE, Permission.REVOKE, trail)
    assert len(await approvals.everything()) == 2


@pytest.mark.parametrize(
    ("acts", "held"),
    [
        ((), set()),
        ((Act.REVOKE,), {Act.REVOKE, Act.REVOKE_ALL}),
        ((Act.REVOKE_ALL,), {Act.REVOKE_ALL}),
        ((Act.OPERATORS, Act.POLICY_APPLY), {Act.OPERATORS, Act.POLICY_APPLY}),
    ],
)
def test_what_is_named_takes_two_and_nothing_else(acts, held):
    approvals = made(*acts)
    assert {act for act in Act if approvals.holds(act, ALICE)} == held
    assert not any(approvals.holds(act, OWNER) for act in Act)
    assert not approvals.holds(None, ALICE)


@pytest.mark.anyio
async def test_it_waits_over_a_restart_as_it_was_asked(trail):
    store = MemoryIdentityStore()
    alice = new_operator("alice", at=BEGUN, roles=["security"])
    proof = OperatorProof(alice.name, alice.roles, "", frozenset({OperatorFactor.PASSKEY}), BEGUN, passkey=b"\x01\xff")
    proof = replace(proof, subject="https://id.example 4f1c")
    secret, session = Sessions(ApiSettings(), Clock()).open(proof, alice, "192.0.2.7")
    request = asking(b"\x00\xff{}")
    request.state.caller = replace(ALICE, tenant="acme", session=session, scopes=frozenset({Permission.REVOKE}))
    await made(Act.REVOKE, store=store).ask(request, Act.REVOKE, Permission.REVOKE, trail)
    (kept,) = await store.approvals()
    assert not any(word in kept.text for word in (secret, session.id, "bzs_", "idempotency"))
    (found,) = await made(Act.REVOKE, store=store).everything()
    assert (found.body, found.scope["query_string"], found.request) == (
        b"\x00\xff{}",
        b"a=b",
        "POST /api/v1/identities/x/revocation",
    )
    again, before = found.caller, request.state.caller
    assert (again.actor, again.roles, again.tenant, again.scopes) == (
        before.actor,
        before.roles,
        before.tenant,
        before.scopes,
    )
    assert again.session is not None
    assert (again.session.mark, again.session.passkey, again.session.subject, again.session.factors) == (
        session.mark,
        b"\x01\xff",
        "https://id.example 4f1c",
        session.factors,
    )


@pytest.mark.anyio
async def test_of_two_who_agree_at_the_same_time_one_has_it_done(trail):
    store, done = MemoryIdentityStore(), list[str]()

    async def doing(request: Request) -> Response:
        done.append(request.state.caller.actor.why)
        return Response()

    here, there = made(Act.REVOKE, store=store), made(Act.REVOKE, store=store)
    alice = new_operator("alice", at=BEGUN, roles=["security"])
    found = await waiting(here, trail)
    proof = OperatorProof(alice.name, alice.roles, "", frozenset(), BEGUN)
    session = Sessions(ApiSettings(), Clock()).open(proof, alice, "192.0.2.7")[1]
    berta, carl = (
        replace(ALICE, actor=Actor(name, "192.0.2.2", Way.SESSION), session=session) for name in ("berta", "carl")
    )
    await here.approve(found, asking(), berta, alice, doing)
    with pytest.raises(NotFound):
        await there.approve(found, asking(), carl, alice, doing)
    assert done == ["approved by berta"]


def test_no_request_that_takes_two_has_a_secret_in_it():
    """They are kept as they were sent: one with a password would be a password in the store."""
    described = describe()
    schemas = described["components"]["schemas"]
    fields = {
        f"{method.upper()} {path}: {name}"
        for path, methods in described["paths"].items()
        for method, route in methods.items()
        if "x-two-person" in route and "requestBody" in route
        for name in _fields(route["requestBody"]["content"]["application/json"]["schema"], schemas)
    }
    assert any(field.startswith("PUT /policy: ") for field in fields)
    words = ("password", "passphrase", "secret", "credential", "totp", "code", "key", "proof", "private")
    assert not [field for field in fields if any(word in field.rpartition(": ")[2] for word in words)]


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The names of everything in a body, however deep."""
    named = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    own = named.get("properties", {})
    below = [
        *own.values(),
        *named.get("anyOf", ()),
        *named.get("allOf", ()),
        *([named["items"]] if "items" in named else ()),
    ]
    return set(own) | {name for each in below for name in _fields(each, schemas)}
