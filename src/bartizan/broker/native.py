"""`EnginePort` on the native engine: the only module of this room that knows `_engine`. Conversion, nothing else."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bartizan import _engine
from bartizan.authn import Certificate, ConnectRequest
from bartizan.broker.ports import Allow, Answer, Bound, ControlRequest, Deny, EnginePort, Proceed, Question
from bartizan.detect.activity import Activity
from bartizan.errors import CertificateUnusable, ChangeRefused, EngineUnavailable, InvalidValue, StartRefused
from bartizan.model.reason import ReasonCode
from bartizan.policy import CompiledPolicy, schedule

SCHEDULE_DAYS = 14
"""So far ahead the engine knows when time windows open; behind that all are closed, should nobody tell it more."""


class NativeEngine(EnginePort):
    """`EnginePort` on the native engine: conversion, and its errors in our words."""

    def __init__(self, config: bytes) -> None:
        try:
            self._engine = _engine.Engine(config=config)
        except (_engine.EngineConfigError, _engine.TlsError) as error:
            raise StartRefused(str(error)) from None

    @property
    def wake_fd(self) -> int:
        """See `EnginePort`."""
        return self._engine.wake_fd

    def start(self, policy: CompiledPolicy, identities: bytes) -> None:
        """See `EnginePort`."""
        try:
            self._engine.start(policy=_native(policy), identities=identities, schedule=_schedule(policy))
        except _engine.ListenerError as error:
            raise StartRefused(str(error) + _how_to_move(str(error))) from None
        except (_engine.TlsError, RuntimeError) as error:
            raise StartRefused(str(error)) from None

    def recovery(self) -> tuple[int, int]:
        """See `EnginePort`."""
        return self._engine.recovery()

    def stop(self, grace_s: float) -> None:
        """See `EnginePort`."""
        self._engine.stop(grace_s=grace_s)

    def apply(self, policy: CompiledPolicy, identities: bytes) -> int:
        """See `EnginePort`."""
        with _in_time():
            return self._engine.apply(policy=_native(policy), identities=identities, schedule=_schedule(policy))

    def update(self, changed: bytes) -> Mapping[str, Any]:
        """See `EnginePort`."""
        with _in_time():
            return json.loads(self._engine.update(changed=changed))

    def ban(self, bans: bytes) -> Sequence[Mapping[str, Any]]:
        """See `EnginePort`."""
        with _in_time():
            return json.loads(self._engine.ban(bans=bans))

    def throttle(self, throttles: bytes) -> None:
        """See `EnginePort`."""
        with _in_time():
            self._engine.throttle(throttles=throttles)

    def discard(self, client_id: str, tenant: str | None = None) -> Mapping[str, Any] | None:
        """See `EnginePort`."""
        return json.loads(self._engine.discard(client_id=client_id, tenant=tenant))

    def set_tls(self, listener: str, material: bytes) -> None:
        """See `EnginePort`."""
        try:
            self._engine.set_tls(listener=listener, material=material)
        except _engine.TlsError as error:
            raise CertificateUnusable(str(error)) from None

    def disconnect(self, client_id: str, reason: int, tenant: str | None = None) -> bool:
        """See `EnginePort`."""
        return self._engine.disconnect(client_id=client_id, reason=reason, tenant=tenant)

    def clients(self, after: str, limit: int, *, identity: str | None = None, client_id: str | None = None) -> bytes:
        """See `EnginePort`."""
        return self._engine.clients(after=after, limit=limit, identity=identity, client_id=client_id)

    def metrics(self) -> Mapping[str, int]:
        """See `EnginePort`."""
        return json.loads(self._engine.metrics())

    def listeners(self) -> Sequence[Bound]:
        """See `EnginePort`."""
        return [
            Bound(item["name"], item["address"], item["transport"]) for item in json.loads(self._engine.listeners())
        ]

    def watch(self, learn: Sequence[str], staged: CompiledPolicy | None) -> None:
        """See `EnginePort`."""
        native = None if staged is None else _native(staged)
        try:
            self._engine.watch(learn=learn, staged=native, schedule=None if staged is None else _schedule(staged))
        except RuntimeError as error:
            raise EngineUnavailable(str(error)) from None

    def take_observations(self, *, uses: bool) -> Sequence[Mapping[str, Any]]:
        """See `EnginePort`."""
        return json.loads(self._engine.take_observations(uses=uses))

    def take_activity(self) -> Activity:
        """See `EnginePort`."""
        figures, fresh, windows = self._engine.take_activity()
        return Activity(json.loads(figures), fresh, windows)

    def session(self, client_id: str, tenant: str | None = None) -> Mapping[str, Any] | None:
        """See `InspectPort`."""
        with _answered():
            found = self._engine.session(client_id=client_id, tenant=tenant)
        return None if found is None else json.loads(found)

    def retained(self, filter_: str, after: str | None, limit: int, *, whole: bool) -> Mapping[str, Any]:
        """See `InspectPort`."""
        with _answered():
            return json.loads(self._engine.retained(filter=filter_, after=after, limit=limit, whole=whole))

    def clear_retained(self, filter_: str, after: str | None, limit: int) -> Mapping[str, Any]:
        """See `InspectPort`."""
        with _answered():
            return json.loads(self._engine.clear_retained(filter=filter_, after=after, limit=limit))

    def topics(self, prefix: str, depth: int, *, traffic: bool = False) -> Mapping[str, Any]:
        """See `InspectPort`."""
        with _answered():
            return json.loads(self._engine.topics(prefix=prefix, depth=depth, traffic=traffic))

    def subscriptions(self, sought: Mapping[str, str], after: tuple[int, int] | None, limit: int) -> Mapping[str, Any]:
        """See `InspectPort`."""
        with _answered():
            wanted = json.dumps(dict(sought)).encode()
            return json.loads(self._engine.subscriptions(sought=wanted, after=after, limit=limit))

    def trace(self, client_id: str, *, for_s: float, payloads: bool, tenant: str | None = None) -> int:
        """See `TracePort`."""
        try:
            return self._engine.trace(client_id=client_id, for_s=for_s, payloads=payloads, tenant=tenant)
        except RuntimeError as error:
            raise ChangeRefused(str(error)) from None

    def take_trace(self, number: int, limit: int, *, octets: bool) -> bytes | None:
        """See `TracePort`."""
        return self._engine.take_trace(trace=number, limit=limit, octets=octets)

    def end_trace(self, number: int) -> bool:
        """See `TracePort`."""
        return self._engine.end_trace(trace=number)

    def publish_status(self, topics: Mapping[str, str]) -> None:
        """See `EnginePort`."""
        self._engine.publish_status(topics=json.dumps(topics).encode())

    def take_questions(self, limit: int) -> Sequence[Question]:
        """See `EnginePort`."""
        return [_question(asked) for asked in self._engine.take_auth_requests(limit=limit)]

    def answer(self, answers: Sequence[Answer]) -> None:
        """See `EnginePort`."""
        self._engine.answer(verdicts=[_usable(answer) for answer in answers])

    def take_control(self, limit: int) -> Sequence[ControlRequest]:
        """See `ControlPort`."""
        return [ControlRequest(*command) for command in self._engine.take_control(limit=limit)]

    def reply(self, client: str | None, topic: str, payload: bytes) -> None:
        """See `ControlPort`."""
        self._engine.reply(client=client, topic=topic, payload=payload)

    def take_events(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """See `EnginePort`."""
        # One call for all lines: most of the cost is the call.
        return json.loads(b"[" + b",".join(self._engine.take_events(limit=limit).splitlines()) + b"]")


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineUnavailable(str(error)) from None


@contextmanager
def _answered() -> Iterator[None]:
    with _in_time():
        try:
            yield
        except ValueError as error:
            raise InvalidValue(str(error)) from None


def _native(policy: CompiledPolicy) -> _engine.CompiledPolicy:
    return _engine.CompiledPolicy.load(image=policy.image)


def _schedule(policy: CompiledPolicy) -> bytes | None:
    """When the policy's time windows open and close from now on; the engine itself watches the clock."""
    windows = policy.windows
    if not windows:
        return None
    ahead = schedule(windows, datetime.now(UTC), SCHEDULE_DAYS)
    return json.dumps({"until_ms": ahead.until_ms, "changes": ahead.changes}).encode()


def _how_to_move(text: str) -> str:
    named = re.match(r"listener (\S+) on ", text)
    return f" (--set listeners.{named[1]}.bind=ADDRESS:PORT)" if named else ""


def _question(asked: _engine.AuthRequest) -> Question:
    return Question(
        asked.token,
        ConnectRequest(
            client_id=asked.client_id,
            listener=asked.listener,
            address=asked.address,
            version=asked.version,
            user_name=asked.user_name,
            password=asked.password,
            certificate=None if asked.certificate is None else _certificate(asked),
            authentication_method=asked.auth_method,
            authentication_data=asked.auth_data,
            exchange_state=asked.state,
            channel_binding=asked.channel_binding,
            again=asked.again,
        ),
    )


def _certificate(asked: _engine.AuthRequest) -> Certificate:
    fields = json.loads(asked.certificate or b"{}")
    not_after_s = fields.get("not_after_s")
    return Certificate(
        fingerprint_sha256=fields["fingerprint_sha256"],
        serial_hex=fields["serial"],
        common_name=fields.get("common_name"),
        san_uris=tuple(fields.get("san_uri", ())),
        san_dns=tuple(fields.get("san_dns", ())),
        san_emails=tuple(fields.get("san_email", ())),
        issuer=fields.get("issuer") or "",
        not_after=None if not_after_s is None else datetime.fromtimestamp(not_after_s, UTC),
        chain=tuple(asked.certificate_chain),
    )


def _usable(answer: Answer) -> _engine.AuthVerdict:
    try:
        return _verdict(answer)
    except (TypeError, ValueError, OverflowError, AttributeError):
        # What one authenticator made up wrongly must not cost the others their answers.
        why = "an authenticator gave an answer that cannot be used"
        return _engine.AuthVerdict.deny(token=answer.token, reason=int(ReasonCode.SERVER_UNAVAILABLE), why=why)


def _verdict(answer: Answer) -> _engine.AuthVerdict:
    match answer:
        case Deny():
            return _engine.AuthVerdict.deny(token=answer.token, reason=int(answer.reason), why=answer.why)
        case Proceed():
            return _engine.AuthVerdict.proceed(token=answer.token, data=answer.data, state=answer.state)
        case Allow():
            return _allowed(answer)


def _allowed(answer: Allow) -> _engine.AuthVerdict:
    principal = answer.principal
    return _engine.AuthVerdict.allow(
        token=answer.token,
        identity=principal.identity,
        roles=list(principal.roles),
        attributes=dict(principal.attributes),
        method=principal.method,
        managed=answer.managed,
        client_id=answer.assigned_client_id,
        ends_at_ms=None if answer.ends_at is None else int(answer.ends_at.timestamp() * 1000),
        data=answer.data,
        remembered_s=answer.remembered_s,
        strength=sorted(principal.strengths),
        narrowed_to=[[(grant.action.value, grant.filter) for grant in token] for token in principal.narrowed_to],
    )
