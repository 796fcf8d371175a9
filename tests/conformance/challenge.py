"""A broker with an Authentication Method, and the two steps that a client takes with it.

"TEST-CHALLENGE": the client names itself in the Authentication Data of CONNECT, is sent some octets
and answers with their keyed digest. Behind the name may stand what the authenticator shall do:
`name;rounds=2;final=welcome`. So each test says on the wire what it needs.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from bartizan.authn import Challenge, ConnectRequest, Denied, Proof
from bartizan.model.ids import RoleName
from bartizan.model.principal import Principal
from bartizan.model.reason import ReasonCode
from bartizan.testing import Broker
from tests.conformance.lab import Lab, Target
from tests.conformance.packets import v5
from tests.conformance.properties import Value
from tests.conformance.received import Auth, Connack
from tests.conformance.wire import Wire

METHOD = "TEST-CHALLENGE"
DEADLINE_S = 1
"""What a hasty broker gives an authentication."""
KEY = b"the key that client and authenticator share"
REASON = "conformance on loopback"
POLICY = """
[roles.all]
permit = [{ action = "all", filter = "#" }]
[roles.anonymous]
permit = [{ action = "all", filter = "#" }]
[roles.reader]
permit = [{ action = "subscribe", filter = "#" }]
"""


class Challenger:
    """Answers as the client's own words ask; never lets one in that does not know the key.

    `rounds` challenges, of `size` octets; `deny` at the end by this Reason Code; `stall`: no answer;
    `ends_in_s`; Authentication Data `final`; `role`; `as` another name; `managed` by the store; `fail` by a bug;
    a `wrong` type in the answer.
    """

    method = METHOD

    async def authenticate(self, request: ConnectRequest) -> Proof | Challenge:
        """The next step of what the client asked for."""
        if request.exchange_state is None:
            return await self._next(_script(request.authentication_data or b""), 1)
        expected, round_, words = request.exchange_state.split(b"|", 2)
        if not hmac.compare_digest(expected, (request.authentication_data or b"").hex().encode()):
            raise Denied(ReasonCode.NOT_AUTHORIZED, "the answer is not that of the key")
        return await self._next(_script(words), int(round_) + 1)

    async def _next(self, script: dict[str, str], round_: int) -> Proof | Challenge:
        if round_ <= int(script.get("rounds", "1")):
            data = secrets.token_bytes(int(script.get("size", "16")))
            words = ";".join(f"{key}={value}" for key, value in script.items())
            return Challenge(data, state=f"{answer(data).hex()}|{round_}|{words}".encode())
        if "stall" in script:
            await asyncio.sleep(60)
        if "fail" in script:
            raise KeyError("a bug")
        if "deny" in script:
            raise Denied(ReasonCode(int(script["deny"], 16)), "secret words for the log")
        ends_in_s = script.get("ends_in_s")
        return Proof(
            Principal(script.get("as", script["name"]), (RoleName(script.get("role", "all")),), (), METHOD),
            expires_at=None if ends_in_s is None else datetime.now(UTC) + timedelta(seconds=float(ends_in_s)),
            managed="managed" in script,
            data=_final(script),
        )


def answer(challenge: bytes) -> bytes:
    """What a client that knows the key answers."""
    return hmac.digest(KEY, challenge, hashlib.sha256)


def props(data: bytes | str | None = None, method: str = METHOD) -> dict[str, Value]:
    """Authentication Method and Data."""
    octets = data.encode() if isinstance(data, str) else data
    named: dict[str, Value] = {"authentication_method": method}
    return named if octets is None else {**named, "authentication_data": octets}


def respond(wire: Wire, challenge: Auth) -> None:
    """AUTH 0x18 with the right answer."""
    data = challenge.properties["authentication_data"]
    assert isinstance(data, bytes)
    wire.send(v5.auth(0x18, props(answer(data))))


def challenged(wire: Wire, *, reason: int = 0x18) -> Auth:
    """The next packet is AUTH, and names the method."""
    packet = wire.expect(Auth, reason=reason)
    assert packet.properties["authentication_method"] == METHOD
    return packet


def begun(lab: Lab, words: str = "", suffix: str = "a", **connect: object) -> tuple[Wire, Auth]:
    """A connection that has been challenged."""
    wire, name = lab.dial(), lab.name(suffix)
    more = connect.pop("props", {})
    assert isinstance(more, dict)
    wire.send(v5.connect(name, props={**props(f"{name};{words}"), **more}, **connect))  # type: ignore[arg-type]
    return wire, challenged(wire)


def accepted(lab: Lab, words: str = "", suffix: str = "a", **connect: object) -> Wire:
    """A connection that has been let in."""
    wire, challenge = begun(lab, words, suffix, **connect)
    respond(wire, challenge)
    wire.expect(Connack, reason=0)
    return wire


def again(lab: Lab, wire: Wire, words: str = "", suffix: str = "a") -> Auth:
    """Re-authentication, up to its challenge."""
    wire.send(v5.auth(0x19, props(f"{lab.name(suffix)};{words}")))
    return challenged(wire)


@contextmanager
def challenging(*settings: str) -> Iterator[tuple[Target, Broker]]:
    """A broker that speaks the method, on two cores so that connections change their shard."""
    with Broker(
        POLICY,
        danger_plaintext=REASON,
        danger_anonymous=REASON,
        settings=["broker.cores=2", *settings],
        authenticators=[Challenger()],
    ) as broker:
        yield Target(host=broker.host, port=broker.port, strict=True), broker


def _final(script: dict[str, str]) -> bytes | None:
    if "wrong" in script:
        return script["wrong"]  # type: ignore[return-value]
    return script["final"].encode() if "final" in script else None


def _script(words: bytes) -> dict[str, str]:
    """`name;key=value;...`, or what `_next` wrote."""
    name, *rest = words.decode().split(";")
    script = {"name": name.removeprefix("name=")}
    for word in filter(None, rest):
        key, _, value = word.partition("=")
        script[key] = value
    return script
