"""Mosquitto's password file: names and hashes as they are kept."""

import pytest

from bartizan.policy.imports import UnreadableLine
from bartizan.policy.imports.passwords import read_passwords

SHA512 = "$6$" + "c2FsdHNhbHQ=" + "$" + "A" * 86 + "=="
PBKDF2 = "$7$101$" + "c2FsdHNhbHQ=" + "$" + "A" * 86 + "=="
ARGON2 = "$argon2id$v=19$m=47104,t=1,p=1$c2FsdHNhbHQ$" + "A" * 86


def names(file):
    return [(remark.weight.value, remark.name, remark.line) for remark in file.remarks]


@pytest.mark.parametrize("kept", [SHA512, PBKDF2, ARGON2])
def test_a_hash_is_kept_as_it_is(kept):
    file = read_passwords(f"bob:{kept}\n".encode(), "passwords")
    assert (file.users["bob"].hash, file.remarks) == (kept, [])


def test_lines_end_as_they_like_and_names_are_trimmed():
    file = read_passwords(f" bob : {PBKDF2} \r\nx y:{PBKDF2}".encode(), "passwords")
    assert {name: line.hash for name, line in file.users.items()} == {"bob": PBKDF2, "x y": PBKDF2}


def test_what_follows_a_second_colon_is_no_part_of_the_hash():
    assert read_passwords(f"bob:{PBKDF2}:more\n".encode(), "passwords").users["bob"].hash == PBKDF2


def test_comments_and_lines_without_a_hash_are_skipped_and_the_latter_noted():
    file = read_passwords(f"# bob:{PBKDF2}\n\nnobody\nempty:\n:{PBKDF2}\n".encode(), "passwords")
    assert file.users == {}
    assert names(file) == [("noted", "skipped-line", 3), ("noted", "skipped-line", 4), ("noted", "skipped-line", 5)]


@pytest.mark.parametrize("kept", ["plain", "$7$x$y$z", "$1$a$b", "$7$0$aa==$bb==", "$7$101$aa==", PBKDF2 + "!"])
def test_what_is_no_hash_proves_nothing(kept):
    file = read_passwords(f"bob:{kept}\n".encode(), "passwords")
    assert file.users["bob"].hash == ""
    assert names(file) == [("noted", "unusable-hash", 1)]


def test_the_last_of_two_lines_of_a_user_holds_and_is_a_loss():
    file = read_passwords(f"bob:{PBKDF2}\namy:{PBKDF2}\nbob:{SHA512}\n".encode(), "passwords")
    assert file.users["bob"].hash == SHA512
    assert names(file) == [("lost", "duplicate-user", 3)]


def test_no_password_is_seen_in_a_repr():
    file = read_passwords(f"bob:{PBKDF2}\n".encode(), "passwords")
    assert "$7$" not in repr(file)


def test_bytes_that_are_no_utf_8_are_refused_with_their_line():
    with pytest.raises(UnreadableLine, match="passwords:2"):
        read_passwords(b"bob:x\n\xff:y\n", "passwords")
