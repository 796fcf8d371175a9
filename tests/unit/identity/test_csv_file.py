"""Identities from CSV: all or nothing, every mistake with its line; and to CSV, so that the way back is whole."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.errors import InvalidValue
from bartizan.identity.csv_file import PROBLEMS_MAX, ImportRefused, Writer, import_lines, read_lines
from bartizan.identity.records import parse_credential
from bartizan.model.credential import CertificateCredential, PasswordCredential, ScramCredential
from bartizan.model.group import Group
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.principal import Identity, IdentityState
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import Create, CreateGroup

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store() -> MemoryIdentityStore:
    store = MemoryIdentityStore()
    await store.commit([CreateGroup(Group(GroupName(name), AT)) for name in ("line-3", "all")])
    return store


async def bring(store: MemoryIdentityStore, text: str, **more) -> tuple[int, int]:
    return await import_lines(store, read_lines(io.StringIO(text, newline="")), at=AT, **more)


def problems(text: str) -> list[str]:
    with pytest.raises(ImportRefused) as refused:
        read_lines(io.StringIO(text, newline=""))
    return [str(problem) for problem in refused.value.problems]


async def test_a_file_becomes_identities(store):
    text = (
        "\ufeffname, state,roles,groups,attr.site,attr.line,owner,note,password_hash\n"
        'press-01,,press reader press,line-3 all,chicago,,me@x,"hall 2, row 7",$7$101$c2FsdA==$aGFzaA==\n'
        "\n"
        "press-02,disabled,,,,7,,,\n"
    )
    assert await bring(store, text) == (2, 0)
    first, second = await store.page()
    assert (first.roles, first.groups) == (("press", "reader"), ("line-3", "all"))
    assert (dict(first.attributes), first.owner, first.note) == ({"site": "chicago"}, "me@x", "hall 2, row 7")
    assert [item.hash for item in first.credentials if isinstance(item, PasswordCredential)] == [
        "$7$101$c2FsdA==$aGFzaA=="
    ]
    assert (second.state, dict(second.attributes), second.credentials) == (IdentityState.DISABLED, {"line": "7"}, ())


def test_every_mistake_is_told_with_its_line():
    text = (
        "name,roles,note,password_hash\n"
        "ok,press,,\n"
        "a/b,,,\n"
        "anonymous,,,\n"
        'x1,Press,"a note\nof two lines",\n'
        "x2,press,,plain-text-password\n"
        "x3,press\n"
        "ok,,,\n"
    )
    found = problems(text)
    assert [line.split(":")[0] for line in found] == ["line 3", "line 4", "line 5", "line 7", "line 8", "line 9"]
    assert "'/'" in found[0]
    assert "reserved" in found[1]
    assert "'Press'" in found[2]
    assert "$argon2id$" in found[3]
    assert "plain-text-password" not in found[3]
    assert "2 cells" in found[4]
    assert "line 2 already" in found[5]


def test_as_many_mistakes_as_can_be_read_are_told_at_once():
    assert len(problems("name\n" + "a/b\n" * 1_000)) == PROBLEMS_MAX


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("roles", "no column 'name'"),
        ("", "no column 'name'"),
        ("name,pasword_hash", "unknown column 'pasword_hash'"),
        ("name,note,note", "twice"),
        ("name,attr.Site", "attribute name 'Site'"),
    ],
)
def test_a_header_that_is_wrong_is_told(header, says):
    (found,) = problems(f"{header}\nx,y\n")
    assert found.startswith("line 1: ")
    assert says in found


@pytest.mark.parametrize(
    "cell",
    [
        "{",
        "{}",
        "[1]",
        '[{"kind":"key"}]',
        '[{"kind":"password","id":"a"}]',
        '[{"kind":"password","id":"a","created_at":"2026-11-20","hash":7}]',
        '[{"kind":"certificate","id":"a","created_at":"2026-11-20","fingerprint_sha256":"ab","serial_hex":"0f","not_after":"2027-01-01"}]',
        '[{"kind":"certificate","id":"a","created_at":"2026-11-20","fingerprint_sha256":"","serial_hex":"0f","not_after":null}]',
        '[{"kind":"certificate","id":"a","created_at":"2026-11-20","fingerprint_sha256":"","serial_hex":"","issuer":"CN=x","not_after":null}]',
        f'[{{"kind":"certificate","id":"a","created_at":"2026-11-20","fingerprint_sha256":"{"ab" * 32}","serial_hex":"0f","not_after":null}}]',
        '[{"kind":"scram","id":"a","created_at":"x","mechanism":"PLAIN"}]',
    ],
)
def test_credentials_that_cannot_be_are_told(cell):
    quoted = cell.replace('"', '""')
    (found,) = problems(f'name,credentials\nx,"{quoted}"\n')
    assert found.startswith("line 2: ")


GOOD = {
    "password": {"kind": "password", "id": "a", "created_at": "2026-11-20", "hash": "$argon2id$x"},
    "certificate": {
        "kind": "certificate",
        "id": "a",
        "created_at": "2026-11-20",
        "fingerprint_sha256": "ab" * 32,
        "serial_hex": "0f",
        "not_after": "2027-11-20",
    },
    "scram": {
        "kind": "scram",
        "id": "a",
        "created_at": "2026-11-20",
        "mechanism": "SCRAM-SHA-256",
        "iterations": 4096,
        "salt": "00",
        "stored_key": "00",
        "server_key": "00",
    },
}
ODD = [
    None,
    True,
    7,
    -1,
    1e400,
    10**30,
    [],
    {},
    "",
    "a\0b",
    "\ud800",
    "a\nb",
    "é" * 3,
    "x" * 200_000,
    "0001-01-01T00:00:00+23:59",
]


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, record in GOOD.items() for key in record])
def test_whatever_stands_in_a_credential_is_taken_or_refused_by_name(kind, key):
    assert parse_credential(GOOD[kind]).kind == kind
    for odd in (odd for odd in ODD if (key, odd) != ("iterations", 7)):
        with pytest.raises(InvalidValue):
            parse_credential(GOOD[kind] | {key: odd})
    with pytest.raises(InvalidValue):
        parse_credential({name: value for name, value in GOOD[kind].items() if name != key})


@pytest.mark.parametrize(
    "column", ["name", "state", "roles", "groups", "owner", "note", "attr.site", "quarantined_until"]
)
@pytest.mark.parametrize("odd", ["a\0b", "x" * 100_000, "a\u202eb", "a\u2028b"])
def test_whatever_stands_in_a_cell_is_refused_with_its_line(column, odd):
    row = {"name": "x", column: odd}
    (found,) = problems(f"{','.join(row)}\n{','.join(row.values())}\n")
    assert found.startswith("line 2: ")


def test_a_file_that_is_no_csv_is_told():
    assert "not CSV" in problems('name\n"open\n')[0]
    with pytest.raises(ImportRefused, match="not CSV"):
        read_lines(io.TextIOWrapper(io.BytesIO(b"name\n\xff\xfe\n"), encoding="utf-8", newline=""))


async def test_what_exists_already_and_groups_that_do_not_are_told_and_nothing_is_written(store):
    await bring(store, "name\nb\n")
    with pytest.raises(ImportRefused) as refused:
        await bring(store, "name,groups\na,\nb,\nc,line-4\n")
    assert [problem.line for problem in refused.value.problems] == [3, 4]
    assert [one.name for one in await store.page()] == ["b"]


async def test_an_update_replaces_what_the_file_has_columns_for(store):
    await bring(store, "name,roles,note,attr.site,attr.line\na,press,first,chicago,3\nb,press,first,,\n")
    assert await bring(store, "name,roles,attr.line,attr.x\na,reader,,7\nb,press,,\nc,press,,\n", update=True) == (1, 1)
    found = {one.name: one for one in await store.page()}
    assert (found["a"].roles, found["a"].note) == (("reader",), "first")
    assert found["a"].attributes == (("site", "chicago"), ("x", "7"))
    assert found["c"].roles == ("press",)


async def test_an_update_takes_no_credential_away_unless_it_says_so(store):
    await store.commit([Create(replace(rich("a"), groups=()))])
    before = (await store.page())[0].credentials
    assert await bring(store, "name,password_hash,credentials\na,,\n", update=True) == (0, 0)
    text = "name,password_hash\na,$6$c2FsdA==$aGFzaA==\n"
    assert await bring(store, text, update=True) == (0, 1)
    after = (await store.page())[0].credentials
    assert [item.kind for item in after] == ["certificate", "scram", "certificate", "password"]
    assert after[:3] == before[1:]
    assert await bring(store, text, update=True) == (0, 0), "the same hash is the same password"
    assert await bring(store, "name,credentials\na,[]\n", update=True) == (0, 1)
    assert (await store.page())[0].credentials == ()


async def test_a_dry_run_counts_and_writes_nothing(store):
    assert await bring(store, "name\na\n", dry_run=True) == (1, 0)
    assert await store.page() == []


def rich(name: str) -> Identity:
    later = AT + timedelta(30)
    return Identity(
        IdentityName(name),
        AT,
        roles=(RoleName("press"), RoleName("reader")),
        attributes=((AttributeName("area"), 'a "b", c'), (AttributeName("site"), "ü")),
        state=IdentityState.QUARANTINED,
        note="semi;colon, comma",
        credentials=(
            PasswordCredential("p", "$argon2id$x", AT, must_change=True, expires_at=later, note="n"),
            CertificateCredential("c", "ab" * 32, "0f", AT, later, revoked_at=AT, issuer="CN=x"),
            ScramCredential("s", "SCRAM-SHA-256", 4096, b"salt", b"stored", b"server", AT),
            CertificateCredential("d", "", "0f", AT, None, issuer="CN=x"),
        ),
        groups=(GroupName("line-3"),),
        owner="me@x",
        quarantined_until=later,
        quarantine_reason="odd",
        quarantine_ticket="INC-1",
        quarantined_by="anna",
    )


async def test_what_was_exported_with_credentials_comes_back_whole(store):
    await store.commit([Create(rich("a")), Create(Identity(IdentityName("plain"), AT))])
    before = await store.page()
    text = io.StringIO()
    writer = Writer(text, ["area", "site"], secrets=True)
    for identity in before:
        writer.write(identity)
    assert writer.count == 2
    other = MemoryIdentityStore()
    await other.commit([CreateGroup(group) for group in await store.groups()])
    assert await bring(other, text.getvalue()) == (2, 0)
    assert [replace(one, revision=0) for one in await other.page()] == [replace(one, revision=0) for one in before]


async def test_an_export_holds_no_hash_unless_it_is_asked_for(store):
    text = io.StringIO()
    Writer(text, ["area"], secrets=False).write(rich("a"))
    assert "argon2" not in text.getvalue()
    assert "credentials" not in text.getvalue()
