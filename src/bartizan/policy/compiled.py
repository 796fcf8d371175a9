"""The compiled policy: the engine's evaluator, the only one there is (I10).

`explain`, `lint` and the tests ask it here; the engine asks it for every packet.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bartizan import _engine
from bartizan.errors import InvalidValue
from bartizan.model.token_grant import TokenGrants
from bartizan.policy.compile import compile_policy
from bartizan.policy.condition import Strength
from bartizan.policy.contract import CONTROL_TOPIC, Policy
from bartizan.policy.naming import DEFAULT
from bartizan.policy.payload import Enforce, Payload
from bartizan.policy.tenants import tenant_of
from bartizan.policy.windows import Window

COMMANDS = CONTROL_TOPIC.partition("/")[0]


class Asked(StrEnum):
    """What a request asks for. `RECEIVE` is one delivery to a subscription granted before."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    RECEIVE = "receive"


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a policy. `topic` is a Topic Filter if the action is to subscribe."""

    action: Asked
    topic: str
    identity: str = ""
    client_id: str = ""
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    qos: int = 0
    retain: bool = False
    payload_bytes: int = 0
    content_type: str | None = None
    utf8: bool = False
    there: "Circumstances | None" = None
    """How the client is connected; None where nobody is, as behind a Retained Message."""
    windows: tuple[str, ...] = ()
    """Time windows that are open."""
    narrowed_to: tuple[TokenGrants, ...] = ()
    """What its tokens allow; each has to. Empty: no token says anything of that."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a client is connected."""

    listener: str
    address: str | None = None
    """The IP address it comes from; None for a Unix socket."""
    method: str = ""
    strengths: tuple[Strength, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: allowed or not, by which rule, and why."""

    allow: bool
    per_delivery: bool
    rule: str | None
    why: str

    def __str__(self) -> str:
        return f"{'allow' if self.allow else 'deny'}: {_WHY[self.why]}{f' ({self.rule})' if self.rule else ''}"


@dataclass(frozen=True, slots=True)
class Examination:
    """What is declared of a topic, and how a message is not so."""

    declared: str | None
    """The declaration that holds, as the policy spells it."""
    enforce: Enforce
    broken: str | None
    """`topic`: it is not declared; `payload`: it does not fit; None: nothing, or nobody looks."""
    why: str


class SchemaError(ValueError):
    """Payloads cannot be checked by this: what is wrong with the schema."""


_OWN = ("includes", "client_id", "user_name", "credential_days_max")

_WHY: Mapping[str, str] = {
    "permitted": "a rule permits it",
    "forbidden": "a rule forbids it, and that beats every permit",
    "no_permit": "no rule permits it",
    "qos_above_max": "a rule permits it only with a lower QoS",
    "retain_not_allowed": "a rule permits it only without RETAIN",
    "condition_not_met": "a rule permits it, but not under these circumstances",
    "not_in_token": "a rule permits it, but the token does not allow it",
    "tenant_not_declared": "the policy does not declare its tenant, so it may not even connect",
    "server_topic": "topics that begin with $ are published by the server alone",
    # By the contract, of a message that rules permit.
    "topic_undeclared": "a rule permits it, but the policy declares no such topic",
    "payload_misfit": "a rule permits it, but its payload is not what the topic declares",
    "rate_exceeded": "a rule permits it, but it came faster than the topic declares",
}


class CompiledPolicy:
    """A policy that decides. Immutable; two are equal if their images are."""

    __slots__ = ("_image", "_native", "_roles", "_tenants", "_windows")

    def __init__(self, image: bytes) -> None:
        """Loads an image; `InvalidValue` if these bytes are none."""
        try:
            self._native = _engine.CompiledPolicy.load(image=image)
        except _engine.PolicyImageError as error:
            raise InvalidValue(str(error)) from error
        self._image = image
        told = json.loads(image)
        # Rules are the engine's: kept here is what the control plane itself decides by.
        self._roles: Mapping[str, Mapping[str, Any]] = {
            role["name"]: {key: role[key] for key in _OWN if key in role} for role in told["roles"]
        }
        self._windows = tuple(
            Window(each["name"], tuple(each["days"]), each["from"], each["to"], each["zone"])
            for each in told.get("windows", ())
        )

        self._tenants: Mapping[str, str] = {each["name"]: each["root"] for each in told.get("tenants", ())}

    @classmethod
    def of(cls, policy: Policy) -> "CompiledPolicy":
        """Compiles a policy and loads it."""
        return cls(compile_policy(policy))

    @property
    def image(self) -> bytes:
        """The bytes every node loads."""
        return self._image

    @property
    def digest(self) -> str:
        """SHA-256 of the image, in hexadecimal: the name of this policy."""
        return self._native.digest

    @property
    def windows(self) -> tuple[Window, ...]:
        """Its time windows, in the order in which a schedule has them."""
        return self._windows

    @property
    def tenants(self) -> Mapping[str, str]:
        """The root of each tenant, by name."""
        return self._tenants

    @property
    def role_names(self) -> frozenset[str]:
        """The roles that it has."""
        return frozenset(self._roles)

    def client_ids(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Which Client Identifiers an identity of these roles may use (`policy.naming`); one is enough."""
        return self._namings("client_id", roles)

    def user_names(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Which User Names it may present."""
        return self._namings("user_name", roles)

    def credential_days_max(self, roles: Iterable[str]) -> Mapping[str, int]:
        """How many days old its credentials may become, by kind: of several roles the strictest."""
        ages: dict[str, int] = {}
        for role in self._with_included(roles):
            for kind, days in role.get("credential_days_max", {}).items():
                ages[kind] = min(days, ages.get(kind, days))
        return ages

    def _namings(self, key: str, roles: Iterable[str]) -> tuple[str, ...]:
        found = (naming for role in self._with_included(roles) for naming in role.get(key, ()))
        return tuple(dict.fromkeys(found)) or DEFAULT

    def _with_included(self, names: Iterable[str]) -> list[Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found and name in self._roles:
                found[name] = self._roles[name]
                waiting += found[name].get("includes", ())
        return list(found.values())

    def decide(self, request: Request) -> Decision:
        """Decides; `InvalidValue` if the topic is no Topic Name or Filter, or the QoS no QoS.

        Of a tenant's client the topic is what it sees of it: without the root.
        """
        if (tenant := tenant_of(request.attributes, self._tenants)) is not None and tenant not in self._tenants:
            return Decision(allow=False, per_delivery=False, rule=None, why="tenant_not_declared")
        try:
            native = self._native.decide(
                identity=request.identity,
                client_id=request.client_id,
                roles=request.roles,
                attributes=request.attributes,
                action=request.action.value,
                topic=request.topic,
                qos=request.qos,
                retain=request.retain,
                payload_bytes=request.payload_bytes,
                content_type=request.content_type,
                utf8=request.utf8,
                windows=request.windows,
                narrowed_to=[[(each.action.value, each.filter) for each in token] for token in request.narrowed_to],
                **_circumstances(request.there),
            )
        except ValueError as error:
            raise InvalidValue(f"{request.topic!r}: {error}") from error
        if tenant is not None and request.topic.partition("/")[0] == COMMANDS:
            # They are about all identities, and so are their answers. The engine sees the tenant by its root.
            why = "server_topic" if request.action is Asked.PUBLISH else "no_permit"
            return Decision(allow=False, per_delivery=False, rule=None, why=why)
        return Decision(native.allow, native.per_delivery, native.rule, native.why)

    def examine(self, topic: str, payload: bytes | None) -> Examination:
        """Holds a message to what is declared of its topic; without a payload that is not looked at.

        `InvalidValue` if the topic is no Topic Name.
        """
        try:
            declared, enforce, broken, why = self._native.examine(topic=topic, payload=payload)
        except ValueError as error:
            raise InvalidValue(f"{topic!r}: {error}") from error
        return Examination(declared, Enforce(enforce), broken, why)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompiledPolicy) and self._image == other._image

    def __hash__(self) -> int:
        return hash(self._image)

    def __repr__(self) -> str:
        return f"<CompiledPolicy {self.digest}>"


def _circumstances(there: Circumstances | None) -> dict[str, Any]:
    if there is None:
        return {}
    return {
        "listener": there.listener,
        "address": there.address,
        "method": there.method,
        "strength": [strength.value for strength in there.strengths],
    }


def misfits(payload: Payload, examples: Sequence[bytes]) -> list[str | None]:
    """How each of these does not fit, None where it does. `SchemaError` if the engine cannot check them."""
    try:
        return _engine.check_payloads(
            form=payload.format.value,
            payloads=examples,
            schema=payload.schema or None,
            type_name=payload.type_name or None,
            pattern=payload.pattern or None,
            bytes_max=payload.bytes_max,
        )
    except _engine.PayloadSchemaError as error:
        raise SchemaError(str(error)) from error


def filter_covers(wide: str, narrow: str) -> bool:
    """True if the filter `wide` matches every Topic Name that `narrow` matches."""
    return _engine.filter_covers(filter=wide, other=narrow)
