"""Hashes as mosquitto_passwd wrote them are read as they are; what is no hash proves nothing and costs little."""

import pytest
from argon2 import PasswordHasher

from bartizan.identity import hashes
from bartizan.identity.passwords import hash_password

SEVEN = (
    "$7$101$9vzg09E7qFVcof1s$ndqFc4IKZpM8OtGPiklF9P76/DToOyYzNyCafteAurPKM0acDcIFeLmJX+IxRKKnurTpi1iSdvtzhvpeaFFG7w=="
)
SIX = "$6$cG/32BaOnehQwmGi$8+if4eSvXOl0jfcBXLgAoi3YfYsjukK+1BhowY86wCcVdwg+iqGZqt/5/IYBawBSpSRKOOJ32a8bv6Ir93wQmA=="
FOREIGN_ARGON2 = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("correct horse")
ALL = [SEVEN, SIX, FOREIGN_ARGON2, hash_password("correct horse")]


@pytest.mark.parametrize("stored", ALL, ids=range(len(ALL)))
def test_the_password_has_its_hash_and_no_other_password_has(stored):
    assert hashes.verify(stored, b"correct horse")
    assert not hashes.verify(stored, b"correct horsf")
    assert not hashes.verify(stored, b"")


def test_only_our_own_profile_needs_no_new_hash():
    assert [hashes.is_ours(stored) for stored in ALL] == [False, False, False, True]


@pytest.mark.parametrize("stored", ALL, ids=range(len(ALL)))
def test_a_decoy_looks_like_the_hash_and_has_no_password(stored):
    shape = hashes.shape(stored)
    assert shape is not None
    decoy = hashes.decoy(shape)
    assert hashes.shape(decoy) == shape
    assert decoy != hashes.decoy(shape)
    assert not hashes.verify(decoy, b"correct horse")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "correct horse",
        "$1$salt$hash",
        "$6$rounds=5000$salt$hash",
        "$6$c2FsdA==$",
        "$7$0$c2FsdA==$c2FsdA==",
        "$7$-1$c2FsdA==$c2FsdA==",
        "$7$101$c2FsdA==$c2FsdA==",
        "$7$101$c2FsdA$c2FsdA",
        "$7$9999999$c2FsdA==$" + "A" * 88,
        "$7$101$" + "A" * 4000 + "$" + "A" * 88,
        "$argon2i$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$v=19$m=1024,t=999,p=1$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$v=19$m=1024,t=1,p=999$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$garbage",
    ],
)
def test_what_is_no_hash_that_we_check_proves_nothing(stored):
    assert not hashes.verify(stored, b"correct horse")
    assert not hashes.is_ours(stored)
