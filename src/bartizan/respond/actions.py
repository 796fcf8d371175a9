"""Actions on identities: written first, then in force, then told, item by item.

Time comes in as an argument.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from bartizan.errors import Conflict
from bartizan.identity.register import Register
from bartizan.identity.rotation import revoked
from bartizan.model.credential import CertificateCredential
from bartizan.model.ending import Ended
from bartizan.model.ids import parse_remark
from bartizan.model.principal import QUARANTINE_ROLE, Identity, IdentityState
from bartizan.respond.live import Live


@dataclass(frozen=True, slots=True)
class Done:
    """What an action did. Nothing of it is still to come, but for `is_in_force`."""

    identity: str
    before: IdentityState
    after: IdentityState
    is_in_force: bool
    """False where no broker runs: the next one that starts goes by it."""
    credentials_ended: tuple[str, ...] = ()
    serials_blocked: tuple[str, ...] = ()
    """Serial numbers of its certificates, hexadecimal: refused from now on, and on the CRL."""
    ended: Ended = field(default_factory=Ended)
    lacks_role: bool = False
    """Put into quarantine where the policy in force has no role for that: until it is released it may do nothing."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def outcome(done: Done) -> str:
    """In a sentence."""
    ended = f"{len(done.ended.sessions)} sessions and {len(done.credentials_ended)} credentials ended"
    lacks = f"; the policy has no role {QUARANTINE_ROLE}, so it may do nothing" if done.lacks_role else ""
    return f"it was {done.before} and is {done.after}, {ended}{lacks}"


class Actions:
    """Acts on the identities of one store; `live` is the broker that runs on it, if one does."""

    def __init__(self, register: Register, live: Live | None) -> None:
        self._register = register
        self._live = live

    async def revoke(self, name: str, *, at: datetime, note: str = "", clears_retained: bool = False) -> Done:
        """For ever: its credentials end, its connections are cut, its Sessions end with all that is in them.

        `NotFound` for no identity. One that was revoked before is revoked again: what came back since then goes too.
        """

        def change(now: Identity) -> Identity:
            ended = revoked(now, None, at=at)
            return replace(_in(ended, IdentityState.REVOKED), note=parse_remark(note) or now.note)

        return await self._do(name, change, clears_retained=clears_retained)

    async def quarantine(
        self, name: str, *, until: datetime | None, reason: str, ticket: str = "", by: str = ""
    ) -> Done:
        """Leaves it connected, in the role `quarantine` alone, until then or until it is released."""

        def change(now: Identity) -> Identity:
            if now.state not in (IdentityState.ENABLED, IdentityState.QUARANTINED):
                raise Conflict(f"{name!r} is {now.state.value}: it may not connect at all")
            return replace(
                now,
                state=IdentityState.QUARANTINED,
                quarantined_until=until,
                quarantine_reason=parse_remark(reason),
                quarantine_ticket=parse_remark(ticket),
                quarantined_by=parse_remark(by),
            )

        done = await self._do(name, change)
        return replace(done, lacks_role=self._live is not None and QUARANTINE_ROLE not in self._live.role_names)

    async def release(self, name: str) -> Done:
        """Ends a quarantine: it has its roles again, and connects anew, so that it subscribes as before."""

        def change(now: Identity) -> Identity:
            if now.state is not IdentityState.QUARANTINED:
                raise Conflict(f"{name!r} is not in quarantine but {now.state.value}")
            return _in(now, IdentityState.ENABLED)

        return await self._do(name, change)

    async def _do(self, name: str, change: Callable[[Identity], Identity], *, clears_retained: bool = False) -> Done:
        before = await self._register.get(name)
        after = before

        async def write() -> None:
            nonlocal before, after
            before = await self._register.get(name)
            after = await self._register.write(change(before))

        if self._live is None:
            await write()
            ended = Ended()
        else:
            ended = await self._live.change(write, clears_retained=[name] if clears_retained else [])
        gone = {item.id for item in before.credentials if item.revoked_at is None}
        newly = [item for item in after.credentials if item.revoked_at is not None and item.id in gone]
        return Done(
            identity=str(after.name),
            before=before.state,
            after=after.state,
            is_in_force=self._live is not None,
            credentials_ended=tuple(item.id for item in newly),
            serials_blocked=tuple(item.serial_hex for item in newly if isinstance(item, CertificateCredential)),
            ended=ended,
        )


def _in(identity: Identity, state: IdentityState) -> Identity:
    return replace(identity.out_of_quarantine(), state=state)
