"""Logins that are under way. Of each the server keeps the hash of its secret alone; a restart ends all.

A login ends by itself when it was not used for a while, and after a time in any case; when its operator is disabled,
removed or gets another password; when the passkey that opened it is removed; and when it is the oldest of too many.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bartizan.config.api import ApiSettings
from bartizan.errors import NotFound
from bartizan.model.operator import Operator, OperatorFactor, OperatorName, OperatorProof

SESSIONS_MAX: Final = 1_000
PER_OPERATOR_MAX: Final = 20
"""At one more, the oldest of the operator ends."""

PREFIX: Final = "bzs_"
"""What a secret begins with, so that scanners of sources and logs know one."""


@dataclass(frozen=True, slots=True)
class Session:
    """One login."""

    id: str
    """Names it to people; proves nothing."""
    operator: OperatorName
    factors: frozenset[OperatorFactor]
    address: str
    began_at: datetime
    used_at: datetime
    proved_at: datetime
    """When its operator last showed what proves it."""
    mark: str
    """Of the password that the operator had: with another one the login is over."""
    passkey: bytes = b""
    """The id of the passkey that it rests on, if it does: without that one the login is over."""
    subject: str = ""
    """Who the operator was to the OpenID Provider that it rests on: as somebody else the login is over."""

    def holds_for(self, operator: Operator) -> bool:
        """Whether what it rests on is still the operator's, and that one may log in."""
        has_key = not self.passkey or any(key.id == self.passkey for key in operator.passkeys)
        is_same = password_mark(operator) == self.mark and self.subject in {"", operator.subject}
        return operator.is_enabled and is_same and has_key

    @property
    def is_mfa(self) -> bool:
        """Whether two factors were shown."""
        return OperatorFactor.PASSKEY in self.factors or len(self.factors) > 1


class Sessions:
    """All logins of one broker. Use it from one thread."""

    def __init__(self, settings: ApiSettings, now: Callable[[], datetime]) -> None:
        self._idle = timedelta(seconds=settings.idle_s)
        self._longest = timedelta(seconds=settings.session_s)
        self._now = now
        self._by_hash: dict[str, Session] = {}

    def open(self, proof: OperatorProof, operator: Operator, address: str) -> tuple[str, Session]:
        """A new login and its secret, which is nowhere else."""
        self._forget_ended()
        own = sorted((one.used_at, key) for key, one in self._by_hash.items() if one.operator == proof.operator)
        everyone = sorted((one.used_at, key) for key, one in self._by_hash.items())
        for too_many in (
            own[: max(0, len(own) - PER_OPERATOR_MAX + 1)],
            everyone[: max(0, len(everyone) - SESSIONS_MAX + 1)],
        ):
            for _, key in too_many:
                self._by_hash.pop(key, None)
        secret = PREFIX + secrets.token_urlsafe(32)
        at = self._now()
        session = Session(
            secrets.token_hex(8),
            proof.operator,
            proof.factors,
            address,
            began_at=at,
            used_at=at,
            proved_at=proof.at,
            mark=password_mark(operator),
            passkey=proof.passkey,
            subject=proof.subject,
        )
        self._by_hash[_digest(secret)] = session
        return secret, session

    def find(self, secret: str) -> Session | None:
        """The login of this secret, used now; None if it is none, or over."""
        # Looked up by the hash: how long that takes says nothing about the secret.
        key = _digest(secret)
        session = self._by_hash.get(key)
        if session is None:
            return None
        at = self._now()
        if self._is_over(session, at):
            del self._by_hash[key]
            return None
        self._by_hash[key] = used = replace(session, used_at=at)
        return used

    def look(self, id_: str) -> Session | None:
        """The login of this id if it is under way. To look is not to use it."""
        at = self._now()
        return next((one for one in self._by_hash.values() if one.id == id_ and not self._is_over(one, at)), None)

    def proved(self, session: Session, proof: OperatorProof) -> Session:
        """The operator of this login has shown again what proves it."""
        key = next((key for key, one in self._by_hash.items() if one.id == session.id), None)
        if key is None or proof.operator != session.operator:
            raise NotFound("there is no such login any more")
        renewed = replace(
            session, proved_at=proof.at, factors=proof.factors, passkey=proof.passkey, subject=proof.subject
        )
        self._by_hash[key] = renewed
        return renewed

    def of(self, operator: str) -> list[Session]:
        """The logins of an operator, the newest first."""
        self._forget_ended()
        return sorted((one for one in self._by_hash.values() if one.operator == operator), key=_began, reverse=True)

    def close(self, id_: str) -> bool:
        """Ends a login; whether there was one."""
        return self._drop(lambda one: one.id == id_) > 0

    def close_all(self, operator: str, *, but: str = "") -> int:
        """Ends all logins of an operator but one; how many there were."""
        return self._drop(lambda one: one.operator == operator and one.id != but)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._by_hash.values()))

    def _drop(self, is_meant: Callable[[Session], bool]) -> int:
        keys = [key for key, one in self._by_hash.items() if is_meant(one)]
        for key in keys:
            del self._by_hash[key]
        return len(keys)

    def _forget_ended(self) -> None:
        at = self._now()
        self._drop(lambda one: self._is_over(one, at))

    def _is_over(self, session: Session, at: datetime) -> bool:
        return at - session.used_at >= self._idle or at - session.began_at >= self._longest


def password_mark(operator: Operator) -> str:
    """Tells one password of an operator from the next; nothing follows from it about either."""
    return _digest(operator.password_hash)


def _digest(secret: str) -> str:
    # 256 random bits: nobody tries them one by one, so a quick hash does.
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _began(session: Session) -> datetime:
    return session.began_at
