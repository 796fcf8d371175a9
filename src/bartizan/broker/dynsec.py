"""Commands of dynamic security, carried out: clients are identities, roles a file of the policy, on record as any change.

The policy comes first, then the identities: what is taken away is gone before anybody is told that it is.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from bartizan.audit.trail import Trail
from bartizan.broker.change import Change, Running, by_hand, put_in_force, take_over, undo_interrupted
from bartizan.broker.history import History
from bartizan.broker.place import Place, is_expectations, texts_of
from bartizan.broker.preflight import outcomes_of
from bartizan.errors import AlreadyExists, BartizanError, Conflict, InvalidValue
from bartizan.identity.passwords import PASSWORD_BYTES_MAX
from bartizan.identity.register import Register, credential_id, new_identity, password_credential
from bartizan.model.credential import PasswordCredential, ScramCredential
from bartizan.model.ids import REMARK_CHARS_MAX, AttributeName, RoleName
from bartizan.model.principal import Identity, IdentityState
from bartizan.policy import CheckResult, check_all
from bartizan.policy.dynsec.commands import Response, Wanted, carried_out
from bartizan.policy.dynsec.memory import FILE, joined, remembered, written
from bartizan.policy.dynsec.plugin_file import PluginFile
from bartizan.policy.dynsec.state import Client, State, first_state
from bartizan.policy.dynsec.translation import CLIENT_ID, PREFIX, Translation, refusals, why_not
from bartizan.policy.explain import Explainer
from bartizan.store.ports import Change as StoreChange
from bartizan.store.ports import Create, Remove, Replace

BY_HAND = f"the policy was changed by hand: `bartizan policy apply --take-over` puts it on record, {FILE} as it was"


class Connections(Protocol):
    """Who is connected, where a broker runs."""

    def clients(self) -> Iterable[Mapping[str, Any]]:
        """Every client, as `GET /v1/clients` tells it."""
        ...

    def disconnect(self, client_id: str, tenant: str | None) -> None:
        """Ends a connection, if it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and in which manner."""

    who: str
    strict: bool = True
    """Refuse what cannot be exact; else it is carried out as far as it takes rights away."""
    anonymous: bool = False
    """Whether a listener lets clients in that present nothing."""


class DynamicSecurity:
    """The commands of one broker. One request at a time: the history's lock sees to it."""

    def __init__(
        self,
        place: Place,
        history: History,
        register: Register,
        trail: Trail,
        running: Running | None = None,
        connections: Connections | None = None,
    ) -> None:
        self._place = place
        self._history = history
        self._register = register
        self._trail = trail
        self._running = running
        self._connections = connections

    async def answer(self, payload: bytes, asking: Asking) -> Wanted:
        """The answers to this request, once what they say holds."""
        asked = await self._asked(payload, asking)
        if not asked.is_change:
            return asked
        try:
            with self._history.changing():
                await asyncio.to_thread(undo_interrupted, self._place, self._history, self._running, self._trail)
                # What is changed is read where nobody else changes it.
                asked = await self._asked(payload, asking)
                if by_hand(self._place, self._history):
                    return asked.failed(BY_HAND)
                await self._carry_out(asked, asking)
        except BartizanError as error:
            return asked.failed(str(error))
        return asked

    async def take_over(self, file: PluginFile, asking: Asking) -> Sequence[str]:
        """Makes what a plugin's file says the state, where there is none yet; what of it allows less here.

        `InvalidValue` tells everything that cannot be exact, if it has to be.
        """
        with self._history.changing():
            await asyncio.to_thread(undo_interrupted, self._place, self._history, self._running, self._trail)
            if by_hand(self._place, self._history):
                raise Conflict(BY_HAND)
            if FILE in self._place.read():
                raise AlreadyExists(f"there is a {FILE} already: its state is changed by commands")
            identities = {str(each.name): each async for each in self._register.everyone()}
            if taken := sorted(identities.keys() & file.state.clients.keys()):
                raise AlreadyExists(f"there are identities of these names already: {', '.join(taken)}")
            now = self._state(identities, asking)
            state = replace(file.state, clients=dict(now.clients) | dict(file.state.clients))
            wrong = list(refusals(now, state, strict=True, anonymous=asking.anonymous))
            names = list(refusals(now, state, strict=False))
            if names or (wrong and asking.strict):
                raise InvalidValue("\n".join(wrong))
            responses = (Response("dynamic-security.json", is_change=True),)
            await self._carry_out(Wanted(state, responses, hashes=file.hashes), asking)
        return wrong

    async def settle(self, asking: Asking) -> Sequence[str]:
        """Gives clients the roles that the state says, where the policy has come by another way; whose were others.

        A rollback takes the state back with the policy, and knows no identities.
        """
        # Nearly always they have them: nobody who changes the policy is to wait for a look.
        if FILE not in self._place.read() or not (await self._unsettled(asking))[0]:
            return ()
        with self._history.changing():
            if by_hand(self._place, self._history):
                return ()
            changes, state, before = await self._unsettled(asking)
            await self._register.store.commit(changes)
            await asyncio.to_thread(self._disconnect, state, before)
        return [str(change.identity.name) for change in changes]

    async def _unsettled(self, asking: Asking) -> tuple[Sequence[Replace], State, Mapping[str, Identity]]:
        identities = {str(each.name): each async for each in self._register.everyone()}
        state = self._state(identities, asking)
        _, policy = await asyncio.to_thread(written, state, anonymous=asking.anonymous)
        changes = await asyncio.to_thread(_changes, Wanted(state), policy, identities)
        return [change for change in changes if isinstance(change, Replace)], state, identities

    async def _asked(self, payload: bytes, asking: Asking) -> Wanted:
        identities = {str(each.name): each async for each in self._register.everyone()}
        now = self._state(identities, asking)
        addresses: dict[str, list[str]] = {}
        for client in self._clients():
            addresses.setdefault(client["identity"], []).append(_host(client["address"]))
        return await asyncio.to_thread(carried_out, now, payload, addresses, _exactness(identities, asking))

    def _state(self, identities: Mapping[str, Identity], asking: Asking) -> State:
        at = datetime.now(UTC)
        disabled = {name: each.state_at(at) is not IdentityState.ENABLED for name, each in identities.items()}
        return joined(_kept(self._place.read(), asking), disabled)

    def _clients(self) -> Iterable[Mapping[str, Any]]:
        return () if self._connections is None else self._connections.clients()

    async def _carry_out(self, asked: Wanted, asking: Asking) -> None:
        before = self._place.read()
        text, policy = written(asked.state, anonymous=asking.anonymous)
        contents = before if _says_the_same(before, asked, asking) else {**before, FILE: text.encode()}
        identities = {str(each.name): each async for each in self._register.everyone()}
        changes = await asyncio.to_thread(_changes, asked, policy, identities)
        if contents != before:
            await asyncio.to_thread(self._put, contents, asked, asking)
        if changes:
            try:
                await self._register.store.commit(changes)
            except BartizanError:
                if contents != before:
                    await asyncio.to_thread(self._put, before, asked, asking)
                raise
            if self._running is not None:
                # What is in force is what the answers say.
                await asyncio.to_thread(self._running.reload)
        await asyncio.to_thread(self._disconnect, asked.state, identities)

    def _put(self, contents: Mapping[str, bytes], asked: Wanted, asking: Asking) -> None:
        digest = _digest(contents)
        at = datetime.now(UTC)
        take_over(self._place, self._history, self._trail, who=asking.who, at=at, allowed=False)
        names = dict.fromkeys(response.command for response in asked.responses if response.is_change)
        note = f"dynamic security: {', '.join(names)}"
        change = Change(contents, digest, asking.who, at, note)
        put_in_force(change, self._place, self._history, self._running, self._trail)

    def _disconnect(self, state: State, before: Mapping[str, Identity]) -> None:
        """Whoever is connected by a Client Identifier that is his no more."""
        wanted = {
            name: client.client_id
            for name, client in state.clients.items()
            if client.client_id is not None and _client_id_of(before.get(name)) != client.client_id
        }
        if self._connections is None or not wanted:
            return
        for client in self._connections.clients():
            if client["identity"] in wanted and client["client_id"] != wanted[client["identity"]]:
                self._connections.disconnect(client["client_id"], client.get("tenant"))


def _kept(files: Mapping[str, bytes], asking: Asking) -> State:
    text = files.get(FILE)
    return first_state(receive=not asking.strict) if text is None else remembered(text.decode())


def _says_the_same(files: Mapping[str, bytes], asked: Wanted, asking: Asking) -> bool:
    """Whether the file has nothing new to remember: passwords and who is disabled are not in it."""
    kept = _kept(files, asking)
    before = files[FILE].decode() if FILE in files else written(kept, anonymous=asking.anonymous)[0]
    return written(replace(asked.state, changes=kept.changes), anonymous=asking.anonymous)[0] == before


def _exactness(identities: Mapping[str, Identity], asking: Asking) -> Callable[[State, State], str | None]:
    def exact(before: State, after: State) -> str | None:
        for name, client in after.clients.items():
            known = before.clients.get(name)
            stored = identities.get(name)
            is_enabled = known is not None and known.disabled and not client.disabled
            if is_enabled and stored is not None and stored.state is not IdentityState.DISABLED:
                return f"Not possible here: the identity is {stored.state.value}"
        return why_not(before, after, strict=asking.strict, anonymous=asking.anonymous)

    return exact


def _digest(contents: Mapping[str, bytes]) -> str:
    """The name of this policy, which has to be one, and to decide what its tests expect."""
    result = check_all(texts_of(contents))
    if result.compiled is None:
        raise InvalidValue(f"Not possible here: {result.errors[0]}")
    failed = _failed(result, contents)
    if failed:
        raise InvalidValue(f"Not possible here: the test {failed!r} of the policy expects otherwise")
    return result.compiled.digest


def _failed(result: CheckResult, contents: Mapping[str, bytes]) -> str | None:
    """A test of the policy that expects otherwise."""
    tests = {name: content for name, content in contents.items() if is_expectations(name)}
    try:
        outcomes = outcomes_of(Explainer(result), tests)
    except InvalidValue as error:
        raise InvalidValue(f"Not possible here: {error}") from None
    return next((each.expected.test for each in outcomes if not each.passed), None)


def _changes(asked: Wanted, policy: Translation, identities: Mapping[str, Identity]) -> list[StoreChange]:
    """What becomes of the identities."""
    at = datetime.now(UTC)
    there = {name: each for name, each in identities.items() if name not in asked.removed}
    changes: list[StoreChange] = [Remove(identities[name].name) for name in sorted(asked.removed & identities.keys())]
    for name, client in sorted(asked.state.clients.items()):
        known = there.get(name)
        before = known or new_identity(name, at=at)
        after = _as_said(before, client, policy.given.get(name, ()), at=at)
        if name in asked.passwords:
            after = _with_password(after, asked.passwords[name], at=at)
        elif name in asked.hashes:
            kept = PasswordCredential(id=credential_id(), hash=asked.hashes[name], created_at=at)
            after = replace(after, credentials=(kept,))
        if known is None:
            changes.append(Create(after))
        elif after != known:
            changes.append(Replace(after))
    return changes


def _as_said(identity: Identity, client: Client, given: Iterable[str], *, at: datetime) -> Identity:
    others = [role for role in identity.roles if not role.startswith(PREFIX)]
    attributes = dict(identity.attributes)
    attributes.pop(AttributeName(CLIENT_ID), None)
    if client.client_id is not None:
        attributes[AttributeName(CLIENT_ID)] = client.client_id
    state, was_disabled = identity.state, identity.state_at(at) is not IdentityState.ENABLED
    if client.disabled != was_disabled:
        state = IdentityState.DISABLED if client.disabled else IdentityState.ENABLED
    note = identity.note or " ".join((client.text_name or "").split())[:REMARK_CHARS_MAX]
    roles = (*others, *map(RoleName, given))
    return replace(identity, roles=roles, attributes=tuple(sorted(attributes.items())), state=state, note=note)


def _with_password(identity: Identity, password: str, *, at: datetime) -> Identity:
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        raise InvalidValue(f"Not possible here: a password has at most {PASSWORD_BYTES_MAX} bytes")
    others = [item for item in identity.credentials if not isinstance(item, PasswordCredential | ScramCredential)]
    return replace(identity, credentials=(*others, password_credential(password, at=at)))


def _client_id_of(identity: Identity | None) -> str | None:
    return None if identity is None else dict(identity.attributes).get(AttributeName(CLIENT_ID))


def _host(address: str) -> str:
    host, colon, port = address.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() else address
