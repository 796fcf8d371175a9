"""The recorded store: every change is on record first, with what differs, and without a secret."""

import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bartizan.audit import shown
from bartizan.audit.keys import public_key
from bartizan.audit.search import records
from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import Trail
from bartizan.audit.verify import verify
from bartizan.config.audit import AuditSettings
from bartizan.errors import AlreadyExists, NotFound, StoreUnavailable
from bartizan.model.actor import Actor
from bartizan.model.ban import BanOf, new_ban
from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential, ScramCredential
from bartizan.model.group import Group
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.operator import ApiToken, Operator, OperatorName, Passkey, RecoveryCode, Totp
from bartizan.model.principal import Identity, IdentityState
from bartizan.model.throttle import new_throttle
from bartizan.model.usage import Usage
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import (
    Change,
    Create,
    CreateGroup,
    PutBan,
    PutThrottle,
    Remove,
    RemoveBan,
    RemoveGroup,
    RemoveThrottle,
    Replace,
    ReplaceGroup,
)
from bartizan.store.sqlite import SqliteIdentityStore

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
PASSWORD = PasswordCredential("c1", "SECRET-hash", AT)
CERTIFICATE = CertificateCredential("c2", "ab" * 32, "0f", AT, AT + timedelta(365))
SCRAM = ScramCredential("c3", "SCRAM-SHA-256", 4096, b"SECRET-salt", b"SECRET-stored", b"SECRET-server", AT)
PRESS = Identity(IdentityName.parse("press-01"), AT, credentials=(PASSWORD, CERTIFICATE, SCRAM))
ALICE = Operator(
    OperatorName.parse("alice"),
    AT,
    password_hash="SECRET-argon",
    totp=Totp("SECRETTOTP", AT, AT, 7),
    passkeys=(Passkey(b"\x01", b"SECRET-cose", 3, AT, "laptop"),),
    recovery_codes=(RecoveryCode("SECRET-code"), RecoveryCode("SECRET-used", AT)),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.of(tmp_path / "audit", AuditSettings(), Actor("anna", "10.0.0.7", why="ticket 7"))


@pytest.fixture
def store(trail: Trail) -> RecordedStore:
    return RecordedStore(MemoryIdentityStore(), trail)


@pytest.fixture
def told(trail: Trail) -> Callable[[], list[dict[str, Any]]]:
    """What is on record, without checkpoints."""
    return lambda: [each for each in records(trail.log.directory) if each["kind"] != "checkpoint"]


async def put(store: RecordedStore, *changes: Change) -> None:
    await store.commit(changes)


async def test_what_is_added_is_told_whole_and_without_a_secret(store, told):
    await put(store, Create(PRESS))
    change, outcome = told()
    assert (change["kind"], change["what"], change["target"]) == ("change", "identity.add", "identity/press-01")
    assert (change["who"], change["from"], change["why"]) == ("anna", "10.0.0.7", "ticket 7")
    assert change["after"]["state"] == "enabled"
    assert {name: one["kind"] for name, one in change["after"]["credentials"].items()} == {
        "c1": "password",
        "c2": "certificate",
        "c3": "scram",
    }
    assert (outcome["kind"], outcome["outcome"], outcome["of"]) == ("outcome", "done", [1, 1])
    assert "SECRET" not in str(told())


async def test_what_changes_is_told_and_nothing_else(store, told):
    await put(store, Create(PRESS))
    found = await store.get("press-01")
    assert found is not None
    changed = replace(found, attributes=((AttributeName("site"), "berlin"),), state=IdentityState.QUARANTINED)
    await put(store, Replace(changed))
    change = told()[2]
    assert change["before"] == {"state": "enabled"}
    assert change["after"] == {"attributes": {"site": "berlin"}, "state": "quarantined"}


async def test_what_is_removed_is_told(store, told):
    await put(store, Create(PRESS))
    await put(store, Remove(PRESS.name))
    assert told()[2]["what"] == "identity.remove"
    assert told()[2]["before"]["credentials"].keys() == {"c1", "c2", "c3"}


def with_credentials(*credentials: Credential) -> Identity:
    return replace(PRESS, credentials=credentials)


@pytest.mark.parametrize(
    ("credentials", "what"),
    [
        ((PASSWORD, CERTIFICATE, SCRAM, replace(PASSWORD, id="c4")), "credential.add"),
        ((PASSWORD, replace(CERTIFICATE, revoked_at=AT), SCRAM), "credential.revoke"),
        (
            (replace(PASSWORD, expires_at=AT), CERTIFICATE, SCRAM, replace(PASSWORD, id="c4")),
            "credential.rotate",
        ),
        ((replace(PASSWORD, id="c4"), CERTIFICATE, SCRAM), "credential.replace"),
        ((CERTIFICATE, SCRAM), "credential.remove"),
        ((replace(PASSWORD, hash="SECRET-other"), CERTIFICATE, SCRAM), "credential.rehash"),
        ((PASSWORD, CERTIFICATE, replace(SCRAM, stored_key=b"SECRET-2")), "credential.rehash"),
        ((replace(PASSWORD, note="by post"), CERTIFICATE, SCRAM), "credential.set"),
    ],
)
async def test_a_change_of_credentials_is_called_what_it_is(store, told, credentials, what):
    await put(store, Create(PRESS))
    await put(store, Replace(replace(with_credentials(*credentials), revision=1)))
    assert told()[2]["what"] == what
    assert "SECRET" not in str(told())
    if what == "credential.rehash":
        assert all(one == {"secret": "changed"} for one in told()[2]["after"]["credentials"].values())


async def test_groups_are_told(store, told):
    group = Group(GroupName("line-3"), AT, (RoleName("press"),))
    await put(store, CreateGroup(group))
    await put(store, ReplaceGroup(replace(group, roles=(RoleName("reader"),), revision=1)))
    await put(store, RemoveGroup(group.name))
    changes = [each for each in told() if each["kind"] == "change"]
    assert [each["what"] for each in changes] == ["group.add", "group.set", "group.remove"]
    assert (changes[1]["before"], changes[1]["after"]) == ({"roles": ["press"]}, {"roles": ["reader"]})
    assert changes[2]["before"] == {"roles": ["reader"]}


async def test_a_ban_that_ends_by_itself_is_told_as_that_also_where_the_next_one_takes_its_place(store, told):
    hour = timedelta(hours=1)
    short = new_ban(BanOf.IDENTITY, "press-01", at=AT, until=AT + hour, reason="INC-1")
    other, later = (new_ban(BanOf.IDENTITY, name, at=at) for name, at in (("press-02", AT), ("press-03", AT + hour)))
    await put(store, PutBan(short))
    await put(store, RemoveBan(short.id, is_over=True))
    await put(store, PutBan(short), PutBan(other), PutBan(later))
    await put(store, RemoveBan(later.id))
    changes = [each for each in told() if each["kind"] == "change"]
    assert [(each["what"], each["target"]) for each in changes] == [
        ("ban.add", "ban/identity/press-01"),
        ("ban.end", "ban/identity/press-01"),
        ("ban.add", "ban/identity/press-01"),
        ("ban.add", "ban/identity/press-02"),
        ("ban.add", "ban/identity/press-03"),
        ("ban.end", "ban/identity/press-01"),
        ("ban.remove", "ban/identity/press-03"),
    ]
    assert changes[1]["before"]["reason"] == "INC-1"


async def test_throttles_are_told(store, told):
    first = new_throttle("press-01", messages_per_s=5, until=AT, reason="INC-1", by="anna")
    await put(store, PutThrottle(first))
    await put(store, PutThrottle(replace(first, messages_per_s=9)))
    await put(store, RemoveThrottle("press-01"))
    await put(store, PutThrottle(first))
    await put(store, RemoveThrottle("press-01", is_over=True))
    changes = [each for each in told() if each["kind"] == "change"]
    assert {each["target"] for each in changes} == {"identity/press-01"}
    assert [each["what"] for each in changes] == [
        "identity.throttle",
        "identity.throttle",
        "identity.unthrottle",
        "identity.throttle",
        "identity.throttle-end",
    ]
    assert (changes[1]["before"], changes[1]["after"]) == ({"messages_per_s": 5}, {"messages_per_s": 9})
    assert changes[0]["after"] == {
        "messages_per_s": 5,
        "until": changes[0]["after"]["until"],
        "reason": "INC-1",
        "by": "anna",
    }


async def test_what_the_store_refuses_is_on_record_as_failed(store, told):
    await put(store, Create(PRESS))
    with pytest.raises(AlreadyExists):
        await put(store, Create(PRESS))
    with pytest.raises(NotFound):
        await put(store, Remove(IdentityName("nobody")))
    outcomes = [each for each in told() if each["kind"] == "outcome"]
    assert [each["outcome"] for each in outcomes] == ["done", "failed", "failed"]
    assert outcomes[1]["why"] == "an identity 'press-01' exists already"


async def test_changes_made_together_have_one_outcome(store, told):
    many = [Create(replace(PRESS, name=IdentityName(f"p{number}"), credentials=())) for number in range(2_500)]
    await put(store, *many)
    assert [each["target"] for each in told()[:-1]] == [f"identity/p{number}" for number in range(2_500)]
    first, last = told()[-1]["of"]
    # Checkpoints are between them.
    assert (first, last) == (1, told()[-2]["seq"])


async def test_what_cannot_be_recorded_does_not_happen(store, trail):
    trail.log.directory.parent.write_text("no directory")
    for changing in (store.commit([Create(PRESS)]), store.add_operator(ALICE), store.remove_operator("alice")):
        with pytest.raises(StoreUnavailable, match="nothing was changed"):
            await changing
    assert await store.get("press-01") is None
    assert await store.operators() == []


async def test_who_was_seen_is_no_change(store, told):
    await put(store, Create(PRESS))
    await store.note_usage([Usage(PRESS.name, AT, "c1", "10.0.0.7")])
    assert len(told()) == 2
    assert len(await store.usage()) == 1


async def test_operators_are_told_without_a_secret(store, told):
    made = await store.add_operator(ALICE)
    disabled = await store.replace_operator(replace(made, is_enabled=False))
    other = await store.replace_operator(replace(disabled, password_hash="SECRET-new"))
    codes = await store.replace_operator(replace(other, recovery_codes=(RecoveryCode("SECRET-x"),)))
    await store.remove_operator(codes.name)
    changes = [each for each in told() if each["kind"] == "change"]
    assert [each["what"] for each in changes] == ["operator.add", *["operator.set"] * 3, "operator.remove"]
    assert changes[0]["after"]["passkeys"]["01"]["label"] == "laptop"
    assert changes[0]["after"]["recovery_codes_left"] == 1
    assert (changes[1]["before"], changes[1]["after"]) == ({"enabled": True}, {"enabled": False})
    assert changes[2]["after"] == {"password": {"secret": "changed"}}
    assert changes[3]["after"] == {"recovery_codes": "changed"}
    assert "SECRET" not in str(told())


async def test_that_an_operator_logged_in_is_no_change(store, told):
    made = await store.add_operator(ALICE)
    assert made.totp is not None
    used = (replace(made.passkeys[0], sign_count=9, last_used_at=AT),)
    await store.replace_operator(replace(made, totp=replace(made.totp, last_step=8), passkeys=used))
    assert [each["what"] for each in told() if each["kind"] == "change"] == ["operator.add"]


async def test_tokens_are_told_without_what_proves_them(store, told):
    await store.add_operator(ALICE)
    token = ApiToken("5d0c", ALICE.name, "SECRET-hash", AT, AT + timedelta(days=1), ("look",), "night shift")
    await store.add_token(token)
    await store.note_token_use(token.id, AT)
    assert await store.token_of("SECRET-hash") is not None
    await store.remove_token(ALICE.name, token.id)
    with pytest.raises(NotFound):
        await store.remove_token(ALICE.name, token.id)
    found = told()[2:]
    assert [(each["what"], each.get("outcome", "")) for each in found] == [
        ("operator.token-add", ""),
        ("operator.token-add", "done"),
        ("operator.token-remove", ""),
        ("operator.token-remove", "done"),
        ("operator.token-remove", ""),
        ("operator.token-remove", "failed"),
    ]
    assert found[0]["after"] == {
        "id": "5d0c",
        "scopes": ["look"],
        "label": "night shift",
        "expires_at": found[0]["after"]["expires_at"],
    }
    assert "SECRET" not in str(told())


async def test_another_actor_is_told_as_itself(store, told):
    await store.acting_as(Actor("berta", "10.0.0.9")).commit([Create(PRESS)])
    assert [(each["who"], each["from"]) for each in told()] == [("berta", "10.0.0.9")] * 2


def test_what_is_the_same_is_no_difference():
    assert shown.of_identities(PRESS, PRESS) == shown.of_operators(ALICE, ALICE) == ({}, {})


KILLED = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from bartizan.model.actor import Actor
from bartizan.model.ban import BanOf, new_ban
from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import Trail
from bartizan.config.audit import AuditSettings
from bartizan.identity.register import new_identity
from bartizan.store.ports import Create
from bartizan.store.sqlite import SqliteIdentityStore

class Killed(SqliteIdentityStore):
    async def commit(self, changes, told=None):
        os.kill(os.getpid(), signal.SIGKILL)

async def main(root):
    store = RecordedStore(await Killed.open(root / "i.sqlite"), Trail.of(root / "audit", AuditSettings(), Actor("anna")))
    await store.commit([Create(new_identity("press-01", at=datetime.now(UTC)))])

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_who_is_killed_between_record_and_effect_leaves_a_change_without_an_outcome(tmp_path):
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path))
    assert await killed.wait() == -signal.SIGKILL
    found = verify(tmp_path / "audit/changes", public_key(tmp_path / "audit"))
    assert found.is_whole
    assert found.open_changes == {1: "identity.add"}
    store = await SqliteIdentityStore.open(tmp_path / "i.sqlite")
    assert await store.get("press-01") is None
    await store.close()
