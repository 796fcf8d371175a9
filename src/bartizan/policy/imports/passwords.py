"""Mosquitto's password file, read: names and hashes, as they are kept."""

import re
from dataclasses import dataclass, field

from bartizan.model.difference import Difference, Weight
from bartizan.policy.imports.imported import UnreadableLine

_BASE64 = r"[A-Za-z0-9+/]+={0,2}"
HASH = re.compile(
    rf"\$6\${_BASE64}\${_BASE64}\Z"
    rf"|\$7\$[1-9][0-9]{{0,9}}\${_BASE64}\${_BASE64}\Z"
    r"|\$argon2id\$v=19\$m=[0-9]+,t=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+\Z"
)
"""Every form that Mosquitto writes: SHA-512, PBKDF2-HMAC-SHA512, argon2id."""


@dataclass(frozen=True, slots=True)
class PasswordLine:
    """A user's line."""

    user: str
    hash: str = field(repr=False)
    line: int = 0


@dataclass(slots=True)
class PasswordFile:
    """All users of a file, in its order."""

    name: str
    users: dict[str, PasswordLine] = field(default_factory=dict)
    remarks: list[Difference] = field(default_factory=list)


def read_passwords(content: bytes, name: str) -> PasswordFile:
    """The users of a password file. What Mosquitto skips is noted; what it could only guess at is a loss."""
    file = PasswordFile(name)
    for number, raw in enumerate(content.split(b"\n"), start=1):
        if raw.startswith(b"#") or not raw.strip():
            continue
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise UnreadableLine("this is not UTF-8", name, number, "a User Name is UTF-8 (MQTT 5, 1.5.4)") from None
        user, colon, rest = line.partition(":")
        # A hash holds no colon; what follows a second one is no part of it.
        kept = rest.partition(":")[0].strip()
        if not colon or not user.strip() or not kept:
            _remark(file, Weight.NOTED, "skipped-line", number, "this line is no USER:HASH", "Mosquitto skips it too")
            continue
        _add(file, PasswordLine(user.strip(), kept, number))
    return file


def _add(file: PasswordFile, read: PasswordLine) -> None:
    if read.user in file.users:
        message = f"the user {read.user!r} is there twice, first in line {file.users[read.user].line}"
        effect = "the last one holds, as in Mosquitto 2.0; Mosquitto 2.1 refuses the file"
        _remark(file, Weight.LOST, "duplicate-user", read.line, message, effect)
    if not HASH.match(read.hash):
        message = f"what {read.user!r} has is no hash that Mosquitto knows"
        effect = "nothing proves this user there, nor here: enrol it or give it a password"
        _remark(file, Weight.NOTED, "unusable-hash", read.line, message, effect)
        read = PasswordLine(read.user, "", read.line)
    file.users[read.user] = read


def _remark(file: PasswordFile, weight: Weight, name: str, line: int, message: str, effect: str) -> None:
    file.remarks.append(Difference(weight, name, file.name, line, message, effect))
