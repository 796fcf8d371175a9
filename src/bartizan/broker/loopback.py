"""A throw-away broker on a free loopback port: what `bartizan.testing` starts.

The same parts as a real one: own CA, TLS, identities, policy. Only the memory is short, unless a
directory is named.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from bartizan.authn import Authenticator
from bartizan.broker.app import Broker
from bartizan.broker.log import Journal
from bartizan.broker.reading import read_policy
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.detect import Detector
from bartizan.errors import AlreadyExists
from bartizan.identity.register import Register, new_identity
from bartizan.pki.ca import Authority
from bartizan.pki.crl import ensure_crl
from bartizan.pki.enrolment import Address, Enrolled, enrol_device, enrol_with_password
from bartizan.pki.files import make_directory
from bartizan.pki.server import ensure_server_certificate
from bartizan.store.memory import MemoryIdentityStore
from bartizan.store.ports import WholeStore
from bartizan.store.sqlite import SqliteIdentityStore

LISTENER = "mqtt"
HOST = "127.0.0.1"


class Loopback:
    """One broker under `root`. `durable` keeps identities and Sessions there for the next one."""

    broker: Broker
    _store: WholeStore
    _authority: Authority

    def __init__(  # noqa: PLR0913  what a composition root is given
        self,
        root: Path,
        settings: Settings,
        policy: str,
        journal: Journal,
        *,
        durable: bool,
        authenticators: Sequence[Authenticator] = (),
        detectors: Sequence[Detector] = (),
    ) -> None:
        self.data = DataDirectory(root)
        self._settings = settings
        self._policy = policy
        self._journal = journal
        self._durable = durable
        self._authenticators = tuple(authenticators)
        self._detectors = tuple(detectors)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._lay_out)
        async with AsyncExitStack() as stack:
            durable = await SqliteIdentityStore.open(self.data.identities) if self._durable else None
            self._store = durable or MemoryIdentityStore()
            stack.push_async_callback(self._store.close)
            broker = Broker(
                self._settings,
                self.data,
                store=self._store,
                journal=self._journal,
                authenticators=self._authenticators,
                detectors=self._detectors,
            )
            self.broker = await stack.enter_async_context(broker)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return int(self.broker.engine.listeners()[0].address.rpartition(":")[2])

    async def enrol(
        self, name: str, roles: Sequence[str], attributes: Mapping[str, str], *, password: bool
    ) -> Enrolled:
        """Makes an identity, in force when this returns."""
        at = datetime.now(UTC)
        identity = new_identity(name, at=at, roles=roles, attributes=attributes)
        bundles = self.data.root / "bundles"
        make_directory(bundles)
        enrol = enrol_with_password if password else enrol_device
        address = Address(HOST, self.port)
        enrolled = await enrol(self._store, self._authority, identity, bundles / name, address, at=at)
        await self._in_force()
        return enrolled

    async def remove(self, name: str) -> None:
        """Removes an identity; its connections have ended when this returns."""
        await Register(self._store).remove(name)
        await self._in_force()

    async def apply_policy(self, policy: str) -> None:
        """Puts another policy in force, or raises `ConfigurationError` and changes nothing."""
        self.data.policy.write_text(policy, encoding="utf-8")
        await self.broker.put_policy(await asyncio.to_thread(read_policy, self.data.policy))

    async def _in_force(self) -> None:
        await self.broker.directory.refresh()
        await self.broker.in_force.put()

    def _lay_out(self) -> None:
        data, at = self.data, datetime.now(UTC)
        make_directory(data.root)
        make_directory(data.pki)
        try:
            self._authority = Authority.create(data.ca_certificate, data.ca_key, name="Bartizan test CA", at=at)
        except AlreadyExists:
            self._authority = Authority.load(data.ca_certificate, data.ca_key)
        ensure_server_certificate(data, self._authority, at=at)
        ensure_crl(data, self._authority, (), at=at)
        data.policy.write_text(self._policy, encoding="utf-8")
