"""A broker whose API listens, over real TLS, and operators of every kind who are logged in there."""

import asyncio
import secrets
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pyotp

from bartizan.api.house import House
from bartizan.api.serve import ControlServer, address_of, bind_doors
from bartizan.api.sessions import Session
from bartizan.identity.operators import new_operator, with_confirmed_totp, with_new_totp, with_password
from bartizan.model.operator import Operator, OperatorFactor, OperatorProof
from bartizan.testing import Broker

PASSWORD = "correct horse battery"
MFA = frozenset({OperatorFactor.PASSWORD, OperatorFactor.TOTP})
ONE_FACTOR = frozenset({OperatorFactor.PASSWORD})
HASHED = with_password(new_operator("hashed", at=datetime.now(UTC)), PASSWORD).password_hash
"""Computed once: it is slow on purpose."""


@dataclass
class Api:
    """Where the API is, and who may log in."""

    broker: Broker
    house: House
    url: str
    stack: ExitStack = field(repr=False)

    def run(self, work: Any) -> Any:
        """Does it in the broker's own event loop."""
        return self.broker._call(work)

    def open(self, **more: Any) -> httpx2.Client:
        """A client that trusts the broker's CA and is nobody yet. It holds no connection: 64 are served at once."""
        trust = ssl.create_default_context(cafile=self.broker.ca_file)
        none_idle = httpx2.Limits(max_keepalive_connections=0)
        made = httpx2.Client(base_url=self.url, verify=trust, timeout=30, trust_env=False, limits=none_idle, **more)
        return self.stack.enter_context(made)

    def at_socket(self) -> httpx2.Client:
        """A client of the control socket."""
        transport = httpx2.HTTPTransport(uds=str(self.broker._running.data.root / "control.sock"))
        return self.stack.enter_context(
            httpx2.Client(transport=transport, base_url="http://control/api/v1", timeout=30)
        )

    def operator(self, *roles: str, tenant: str = "", **more: Any) -> Operator:
        """A new operator, stored."""
        name = f"op{secrets.token_hex(5)}"
        made = new_operator(name, at=datetime.now(UTC), roles=roles, tenant=tenant)
        return self.run(self.house.operators.add_operator(replace(made, password_hash=HASHED, **more)))

    def with_codes(self, *roles: str, tenant: str = "") -> tuple[Operator, pyotp.TOTP]:
        """A new operator with one-time codes, and what makes them."""
        early = datetime(2020, 1, 1, tzinfo=UTC)
        pending = with_new_totp(self.operator(*roles, tenant=tenant), at=early)
        assert pending.totp is not None
        maker = pyotp.TOTP(pending.totp.secret)
        confirmed = with_confirmed_totp(pending, maker.at(early), at=early)
        assert confirmed is not None
        return self.run(self.house.operators.replace_operator(confirmed)), maker

    def login(self, operator: Operator, factors: frozenset[OperatorFactor] = MFA) -> tuple[httpx2.Client, Session]:
        """A client that is logged in, without the cost of a hash."""

        async def opened() -> tuple[str, Session]:
            at = datetime.now(UTC)
            proof = OperatorProof(operator.name, operator.roles, operator.tenant, factors, at)
            return self.house.sessions.open(proof, operator, "127.0.0.1")

        secret, session = self.run(opened())
        client = self.open(headers={"authorization": f"Bearer {secret}"})
        return client, session

    def as_(self, *roles: str, tenant: str = "", factors: frozenset[OperatorFactor] = MFA) -> httpx2.Client:
        """A client of a new operator of these roles."""
        return self.login(self.operator(*roles, tenant=tenant), factors)[0]


@contextmanager
def serving(policy: str | None = None, *settings: str, directory: Path | None = None) -> Iterator[Api]:
    """A broker with its API; `directory` is that of one that comes back."""
    with ExitStack() as stack:
        broker = Broker(policy, directory=directory, settings=("api.bind=127.0.0.1:0", *settings))
        stack.enter_context(broker)
        running = broker._running
        doors = bind_doors(running.broker.settings)

        async def begin() -> ControlServer:
            return await ControlServer(running.broker, doors).__aenter__()

        server = broker._call(begin())
        stack.callback(lambda: broker._call(server.__aexit__(None, None, None)))
        house = broker._call(asyncio.to_thread(server._one_house))
        assert doors.api is not None
        clients = stack.enter_context(ExitStack())
        yield Api(broker, house, f"https://{address_of(doors.api)}/api/v1", clients)
