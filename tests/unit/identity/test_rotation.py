"""One credential after another: both live for a while, and who has not moved is found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bartizan.errors import InvalidValue, NotFound
from bartizan.identity.register import new_identity
from bartizan.identity.rotation import CREDENTIALS_MAX, held, revoked, rotated
from bartizan.model.credential import CertificateCredential, Credential, PasswordCredential
from bartizan.model.ids import IdentityName
from bartizan.model.principal import Identity
from bartizan.model.usage import Usage

AT = datetime(2026, 11, 20, tzinfo=UTC)
DAYS_14 = timedelta(14)


def password(id_: str, day: int = 0, **more) -> PasswordCredential:
    return PasswordCredential(id_, "$argon2id$x", AT + timedelta(day), **more)


def certificate(id_: str, day: int = 0, *, days: int = 365, **more) -> CertificateCredential:
    return CertificateCredential(id_, "ab" * 32, "0f", AT + timedelta(day), AT + timedelta(day + days), **more)


def press(*credentials: Credential) -> Identity:
    return replace(new_identity("press-01", at=AT), credentials=credentials)


def ids(identity: Identity, at: datetime) -> list[str]:
    return [item.id for item in identity.credentials if item.is_live(at)]


def test_both_live_through_the_overlap_and_only_the_new_one_after_it():
    after = rotated(press(password("old")), password("new"), at=AT, overlap=DAYS_14)
    assert ids(after, AT + DAYS_14 - timedelta(seconds=1)) == ["old", "new"]
    assert ids(after, AT + DAYS_14) == ["new"]


def test_an_overlap_of_nothing_ends_the_old_one_at_once():
    assert ids(rotated(press(password("old")), password("new"), at=AT, overlap=timedelta(0)), AT) == ["new"]


def test_credentials_of_another_kind_are_left_alone():
    after = rotated(press(password("old"), certificate("c")), certificate("new"), at=AT, overlap=timedelta(0))
    assert ids(after, AT) == ["old", "new"]


def test_a_second_rotation_does_not_give_the_first_one_more_time():
    once = rotated(press(password("a")), password("b"), at=AT, overlap=timedelta(1))
    twice = rotated(once, password("c"), at=AT + timedelta(hours=1), overlap=DAYS_14)
    assert twice.credentials[0].expires_at == AT + timedelta(1)
    assert twice.credentials[1].expires_at == AT + timedelta(hours=1) + DAYS_14


@pytest.mark.parametrize("overlap", [timedelta(days=-1), timedelta(days=366)])
def test_an_overlap_that_is_none_is_refused(overlap):
    with pytest.raises(InvalidValue):
        rotated(press(), password("new"), at=AT, overlap=overlap)


def test_what_ended_long_ago_is_forgotten_but_a_revoked_certificate_stays_on_the_crl():
    long_ago, later = AT + timedelta(1), AT + timedelta(200)
    before = press(
        password("expired", expires_at=long_ago),
        password("revoked", revoked_at=long_ago),
        password("lately", expires_at=later - timedelta(1)),
        certificate("ended", days=10),
        certificate("on-the-crl", revoked_at=long_ago),
        # Of these nobody knows when they end, so the record of the revoked one is all that refuses it.
        CertificateCredential("by-serial", "", "0f", AT, None, revoked_at=long_ago, issuer="CN=x"),
        CertificateCredential("another", "", "10", AT, None, expires_at=long_ago, issuer="CN=x"),
    )
    after = rotated(before, password("new"), at=later, overlap=DAYS_14)
    assert [item.id for item in after.credentials] == ["lately", "on-the-crl", "by-serial", "new"]


def test_live_credentials_are_bounded():
    full = press(*(password(f"p{at}") for at in range(CREDENTIALS_MAX)))
    with pytest.raises(InvalidValue, match="revoke some"):
        rotated(full, certificate("c"), at=AT, overlap=DAYS_14)


def test_credentials_are_revoked_by_id_or_all_and_an_earlier_end_is_kept():
    before = press(password("a"), password("b"), password("c", revoked_at=AT - DAYS_14))
    assert ids(revoked(before, ["a"], at=AT), AT) == ["b"]
    assert [item.revoked_at for item in revoked(before, None, at=AT).credentials] == [AT, AT, AT - DAYS_14]
    with pytest.raises(NotFound, match="'d'"):
        revoked(before, ["a", "d"], at=AT)


def use(credential: str, day: int) -> Usage:
    return Usage(IdentityName("press-01"), AT + timedelta(day), credential)


@pytest.mark.parametrize(
    ("usages", "stale"),
    [
        ([], ["old"]),
        ([use("old", 1)], ["old"]),
        ([use("old", 3), use("new", 2)], ["old"]),
        ([use("old", 1), use("new", 2)], []),
        ([use("new", 2)], []),
    ],
)
def test_who_still_uses_the_old_one_is_known(usages, stale):
    after = rotated(press(password("old")), password("new", 1), at=AT + timedelta(1), overlap=DAYS_14)
    found = held([after], usages, at=AT + timedelta(4))
    assert [one.credential.id for one in found if one.is_stale] == stale
    assert [one.successor.id if one.successor else None for one in found] == ["new", None]


def test_one_that_has_ended_is_not_stale():
    after = rotated(press(password("old")), password("new", 1), at=AT, overlap=timedelta(1))
    assert not any(one.is_stale for one in held([after], [], at=AT + timedelta(2)))
