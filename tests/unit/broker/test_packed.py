"""A packed identity is the same identity, in few bytes."""

import json
import string
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bartizan.broker.packed import entry_of, pack, unpack
from bartizan.model.credential import CertificateCredential, PasswordCredential, ScramCredential
from bartizan.model.group import Group
from bartizan.model.ids import AttributeName, GroupName, IdentityName, RoleName
from bartizan.model.principal import QUARANTINE_ROLE, Identity, IdentityState

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  given above
WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=9)
HEX = st.binary(max_size=33).map(bytes.hex) | st.text("0123456789abcdefABCDEF", max_size=41)
ENDS = {"expires_at": st.none() | TIMES, "revoked_at": st.none() | TIMES, "note": st.text(max_size=9)}
CREDENTIALS = st.one_of(
    st.builds(
        PasswordCredential, id=HEX, hash=st.text(max_size=99), created_at=TIMES, must_change=st.booleans(), **ENDS
    ),
    st.builds(
        CertificateCredential,
        id=st.text(max_size=9),
        fingerprint_sha256=HEX.filter(bool),
        serial_hex=HEX,
        created_at=TIMES,
        not_after=TIMES,
        issuer=st.text(max_size=9),
        **ENDS,
    ),
    st.builds(
        CertificateCredential,
        id=HEX,
        fingerprint_sha256=st.just(""),
        serial_hex=HEX.filter(bool),
        created_at=TIMES,
        not_after=st.none() | TIMES,
        issuer=st.text(min_size=1, max_size=9),
        **ENDS,
    ),
    st.builds(
        ScramCredential,
        id=HEX,
        mechanism=st.sampled_from(["SCRAM-SHA-256", "SCRAM-SHA-512"]),
        iterations=st.integers(1, 10**6),
        salt=st.binary(max_size=64),
        stored_key=st.binary(max_size=64),
        server_key=st.binary(max_size=64),
        created_at=TIMES,
        **ENDS,
    ),
)
IDENTITIES = st.builds(
    Identity,
    name=st.text(min_size=1, max_size=20).map(IdentityName),
    created_at=TIMES,
    roles=st.lists(WORDS.map(RoleName), max_size=4, unique=True).map(tuple),
    attributes=st.dictionaries(WORDS.map(AttributeName), st.text(min_size=1, max_size=9), max_size=4).map(
        lambda pairs: tuple(sorted(pairs.items()))
    ),
    state=st.sampled_from(IdentityState),
    note=st.text(max_size=20),
    credentials=st.lists(CREDENTIALS, max_size=3).map(tuple),
    revision=st.integers(0, 2**60),
    groups=st.lists(WORDS.map(GroupName), max_size=3, unique=True).map(tuple),
    owner=st.text(max_size=9),
    quarantined_until=st.none() | TIMES,
    quarantine_reason=st.text(max_size=9),
    quarantine_ticket=st.text(max_size=9),
    quarantined_by=st.text(max_size=9),
)


@given(IDENTITIES)
def test_what_is_packed_comes_back_the_same(identity: Identity):
    back = unpack(pack(identity))
    assert back == identity
    assert back.credentials == identity.credentials
    assert type(back.name) is IdentityName
    assert {type(role) for role in back.roles} <= {RoleName}


@given(IDENTITIES, st.lists(WORDS.map(RoleName), max_size=3).map(tuple))
def test_the_entry_is_the_engines_whatever_the_way_it_is_made(identity: Identity, of_group: tuple[RoleName, ...]):
    groups = {str(name): Group(name, AT, of_group) for name in identity.groups}
    entry = entry_of(pack(identity), groups, AT)
    assert (entry is None) == (identity.refusal(AT) is not None)
    if entry is not None:
        told = json.loads(entry)
        assert told.keys() == {"id", "roles", "attributes", "revoked"}
        assert told["id"] == identity.name
        given = [*identity.roles, *(of_group if identity.groups else ())]
        if identity.state_at(AT) is IdentityState.QUARANTINED:
            given = [QUARANTINE_ROLE]
        assert told["roles"] == list(dict.fromkeys(given))
        assert told["attributes"] == dict(identity.attributes)


def test_a_device_takes_less_than_half_a_kilobyte():
    certificate = CertificateCredential("0f" * 8, "ab" * 32, "0f" * 20, AT, AT + timedelta(365))
    device = Identity(
        IdentityName("press-0000001"),
        AT,
        (RoleName("press"),),
        ((AttributeName("line"), "l3"), (AttributeName("site"), "chicago")),
        note="line 3",
        credentials=(certificate,),
    )
    assert len(pack(device)) < 320
