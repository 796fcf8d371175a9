"""The broker as a whole, and its engine: the only module of this room that knows `_engine`."""

import asyncio
import json
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bartizan import _engine
from bartizan.audit.stores import RecordedStore
from bartizan.audit.trail import Trail
from bartizan.authn import Authenticator, Certificate, Chain, ConnectRequest, default_chain
from bartizan.authn.ocsp import Revoked
from bartizan.broker.aged import AgedOut
from bartizan.broker.ages import AgeWatch
from bartizan.broker.apply import InForce
from bartizan.broker.authenticate import Desk
from bartizan.broker.certificates import Certificates, read_material
from bartizan.broker.chores import Chores
from bartizan.broker.crls import RevocationLists
from bartizan.broker.detection import Detection, begun_detection
from bartizan.broker.directory import LiveDirectory
from bartizan.broker.ended import every_client
from bartizan.broker.hashes import HashWriter
from bartizan.broker.lock import DirectoryLock
from bartizan.broker.log import Journal
from bartizan.broker.names import PolicyNames
from bartizan.broker.places import Places
from bartizan.broker.ports import Allow, Answer, Bound, Deny, EnginePort, Proceed, Question
from bartizan.broker.pump import Pump
from bartizan.broker.reading import read_policy
from bartizan.broker.recovery import tell_recovery
from bartizan.broker.reload import BY_SIGNAL, RELOAD, ReloadReport, needs_restart
from bartizan.broker.start import record_start, tell_start
from bartizan.broker.terminal import Terminal
from bartizan.broker.usage import UsageBook
from bartizan.broker.watching import Watching
from bartizan.config.engine import engine_config
from bartizan.config.layout import DataDirectory
from bartizan.config.schema import Settings
from bartizan.detect import Detector
from bartizan.errors import BartizanError, CertificateUnusable, ConfigurationError, EngineUnavailable, StartRefused
from bartizan.identity.ages import AgeLimits
from bartizan.model.actor import BROKER, Actor
from bartizan.model.reason import ReasonCode
from bartizan.policy import CompiledPolicy, schedule
from bartizan.store.observations import ObservationStore
from bartizan.store.ports import WholeStore

SCHEDULE_DAYS = 14
"""So far ahead the engine knows when time windows open; behind that all are closed, should nobody tell it more."""


class State(StrEnum):
    """Where in its life a broker is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Broker:
    """One broker: `async with Broker(...) as broker: await broker.run()`.

    Entering checks everything, then binds everything, or raises with nothing left behind. The caller
    keeps `store` and `journal`; the broker opens and closes the rest. `authenticators` and `detectors` are
    asked beside the built-in ones.
    """

    engine: EnginePort
    directory: LiveDirectory
    certificates: Certificates
    crls: RevocationLists
    in_force: InForce
    usage: UsageBook
    places: Places
    watching: Watching
    detection: Detection
    chores: Chores
    ages: AgeWatch
    aged: AgedOut
    hashes: HashWriter
    _chain: Chain
    _pump: Pump

    def __init__(  # noqa: PLR0913  what a composition root is given
        self,
        settings: Settings,
        data: DataDirectory,
        *,
        store: WholeStore,
        journal: Journal,
        reread: Callable[[], Settings] | None = None,
        make_engine: Callable[[bytes], EnginePort] | None = None,
        authenticators: Sequence[Authenticator] = (),
        detectors: Sequence[Detector] = (),
    ) -> None:
        self.settings = settings
        self.data = data
        self.journal = journal
        self.state = State.STARTING
        self.started_at = datetime.now(UTC)
        self.trail = Trail.of(data.audit, settings.audit, BROKER)
        self.store = RecordedStore(store, self.trail)
        self._reread = reread or (lambda: settings)
        self._make_engine = make_engine or NativeEngine
        self._authenticators = tuple(authenticators)
        self._detectors = tuple(detectors)
        self._stack = AsyncExitStack()
        self._reloading = asyncio.Lock()
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(DirectoryLock(self.data.root))
            policy = await asyncio.to_thread(read_policy, self.policy_named(self.settings))
            self.directory = LiveDirectory(self.store)
            await self.directory.load()
            self.hashes = HashWriter(self.store, self.directory.expect_rehashed)
            # The engine ends connections of certificates that it is told of with the identities.
            revoked = Revoked(self.directory.changed.set)
            self._chain = chain = await asyncio.to_thread(
                default_chain,
                self.settings,
                self.directory,
                self._authenticators,
                self.hashes,
                PolicyNames(self),
                self._tell_provider,
                revoked=revoked,
            )
            stack.push_async_callback(chain.aclose)
            self.crls = RevocationLists(self.settings, self.data, self.journal)
            stack.push_async_callback(self.crls.aclose)
            await self.crls.begin()
            self.engine = self._make_engine(json.dumps(engine_config(self.settings, self.data, self.crls.of)).encode())
            self.certificates = Certificates(self.engine, self.data, self.directory, self.trail)
            self.certificates.assume(self.settings, self.crls.of)
            self.in_force = InForce(self.engine, self.directory, policy, revoked.fingerprints)
            await asyncio.to_thread(record_start, self, policy)
            await tell_recovery(self.in_force.begin(), self.engine, self.journal)
            stack.push_async_callback(asyncio.to_thread, self.engine.stop, self.settings.broker.drain_timeout_s)
            self.usage = UsageBook(self.store)
            self.places = Places(self.journal)
            self.watching = Watching(self.engine, ObservationStore(self.data.observations), self.journal, self.trail)
            await self.watching.begin()
            self.detection = await begun_detection(self, self._detectors)
            stack.push_async_callback(self.detection.aclose)
            desk = Desk(
                chain,
                self.in_force.settled,
                proved=self.usage.proved,
                admitted=self.places.proved,
                refused=self.detection.refused,
            )
            self._pump = Pump(self.engine, desk, self._take_events)
            credentials = self.settings.credentials
            limits = AgeLimits(credentials.days_max, PolicyNames(self).credential_days_max)
            enforced = credentials.ages == "enforce"
            self.ages = AgeWatch(self.directory, limits, self.journal, enforced=enforced)
            self.aged = AgedOut(self.engine, self.directory, self.usage, credentials.days_max, enforced=enforced)
            self.chores = Chores(self)
            self._stack = stack.pop_all()
        tell_start(self)
        self._pump.start()
        self.chores.start()
        self.state = State.READY
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state = State.DRAINING
        self.journal.note("draining", grace_s=self.settings.broker.drain_timeout_s)
        await self.chores.stop()
        await self.chores.write_observations()
        try:
            # The engine stops while the pump still writes what it tells.
            await self._stack.aclose()
        finally:
            await self._pump.stop()
            await self.chores.write_usage()
            self.state = State.STOPPED
            self.journal.note("stopped")
            await self.chores.write_events()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT end `run`, SIGHUP reloads, or ends it with its terminal. Only in the main thread."""
        loop = asyncio.get_running_loop()
        terminal = Terminal()
        for ending in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(ending, self.end)
        loop.add_signal_handler(signal.SIGHUP, lambda: self.end() if terminal.is_gone else self.chores.reload())

    def end(self) -> None:
        """Lets `run` return."""
        self._ended.set()

    async def run(self) -> None:
        """Returns when a signal, or `end`, says so."""
        await self._ended.wait()

    async def reload(self, actor: Actor = BY_SIGNAL) -> ReloadReport:
        """Reads configuration, certificates and policy again. What cannot be used changes nothing."""
        async with self._reloading:
            trail, before = self.trail.acting_as(actor), self.in_force.policy
            try:
                settings, policy, material = await asyncio.to_thread(self._read_again)
                # Whoever changes both, policy and identities, has both in force when this returns.
                await self.directory.refresh()
                span = await trail.begin(RELOAD, before={"policy": before.digest}, after={"policy": policy.digest})
            except BartizanError as error:
                self._tell_refused(error)
                return ReloadReport(refused=(str(error),), epoch=self.in_force.epoch)
            async with trail.settling(span, RELOAD):
                self.journal.level = settings.log.level
                refused = await self._replace(material)
                epoch = await self.in_force.put(policy)
                self.aged.changed(before)
            later = needs_restart(self.settings, settings)
            for setting in later:
                self.journal.note("needs_restart", setting=setting)
            self.journal.note("reloaded", policy=policy.digest, epoch=epoch)
            return ReloadReport(
                applied=("policy", *(["certificates"] if not refused else [])),
                refused=refused,
                needs_restart=later,
                epoch=epoch,
            )

    async def care_for_certificates(self) -> None:
        """Renews what is due and gives it to the engine."""
        if await asyncio.to_thread(self.certificates.care, datetime.now(UTC)):
            await self._replace(await asyncio.to_thread(read_material, self.settings, self.data, self.crls.of))

    async def care_for_crls(self) -> None:
        """Fetches what is due of `crl_urls`, and gives the engine what changed: also that a list has ended."""
        await self.crls.refresh()
        if self.crls.take_changed():
            await self._replace(await asyncio.to_thread(read_material, self.settings, self.data, self.crls.of))

    async def look_at_responders(self) -> None:
        """Asks OCSP responders again about certificates of clients that stay connected."""
        await self._chain.look_again(
            lambda: asyncio.to_thread(lambda: {one["client_id"] for one in every_client(self.engine)})
        )

    def policy_named(self, settings: Settings) -> Path | Sequence[Path]:
        """What names the policy in force: a file, a directory, a pattern, or several."""
        return settings.policy.file or self.data.policy

    def policy_to_read(self) -> Sequence[Path]:
        """What names the policy that the next reload will read: of the configuration as it is now, if that is good."""
        try:
            named = self.policy_named(self._reread())
        except BartizanError:
            named = self.policy_named(self.settings)
        return [name.absolute() for name in ((named,) if isinstance(named, Path) else named)]

    @property
    def store_failed(self) -> bool:
        """Whether the engine's store failed: QoS 1 and 2 are refused from then on."""
        return bool(self.engine.metrics().get("store_failed", 0))

    def uptime_s(self) -> int:
        """Whole seconds since the start."""
        return int((datetime.now(UTC) - self.started_at).total_seconds())

    def _read_again(self) -> tuple[Settings, CompiledPolicy, dict[str, bytes]]:
        settings = self._reread()
        policy = read_policy(self.policy_named(settings))
        self.certificates.care(datetime.now(UTC))
        material = read_material(settings, self.data, self.crls.of)
        # A listener that is new or gone waits for the next start.
        running = {name for name, listener in self.settings.listeners.items() if listener.tls}
        return settings, policy, {name: pem for name, pem in material.items() if name in running}

    async def _replace(self, material: Mapping[str, bytes]) -> tuple[str, ...]:
        replaced, refused = await asyncio.to_thread(self.certificates.replace, material)
        for listener in replaced:
            self.journal.note("certificates_replaced", listener=listener)
        for listener, why in refused.items():
            self.journal.note("certificates_refused", listener=listener, reason=why)
        return tuple(f"listener {listener}: {why}" for listener, why in refused.items())

    def _take_events(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.journal.events(events)
        self.usage.events(events)
        self.places.events(events)

    def _tell_provider(self, authenticator: str, wrong: str | None) -> None:
        if wrong is None:
            self.journal.note("provider_available", authenticator=authenticator)
        else:
            self.journal.note("provider_unavailable", authenticator=authenticator, reason=wrong)

    def _tell_refused(self, error: BartizanError) -> None:
        where = error.where if isinstance(error, ConfigurationError) else ""
        named = self.policy_named(self.settings)
        names = (named,) if isinstance(named, Path) else named
        # A mistake stands in a file; what a pattern names is known by the part before its wildcard.
        of_policy = where.startswith(tuple(re.split(r"[*?[]", str(name))[0] for name in names))
        self.journal.note("policy_refused" if of_policy else "configuration_refused", reason=str(error))


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
        return self._engine.apply(policy=_native(policy), identities=identities, schedule=_schedule(policy))

    def update(self, changed: bytes) -> Mapping[str, Any]:
        """See `EnginePort`."""
        return json.loads(self._engine.update(changed=changed))

    def set_tls(self, listener: str, material: bytes) -> None:
        """See `EnginePort`."""
        try:
            self._engine.set_tls(listener=listener, material=material)
        except _engine.TlsError as error:
            raise CertificateUnusable(str(error)) from None

    def disconnect(self, client_id: str, reason: int, tenant: str | None = None) -> bool:
        """See `EnginePort`."""
        return self._engine.disconnect(client_id=client_id, reason=reason, tenant=tenant)

    def clients(self, after: str, limit: int) -> bytes:
        """See `EnginePort`."""
        return self._engine.clients(after=after, limit=limit)

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

    def take_activity(self) -> Sequence[Mapping[str, Any]]:
        """See `EnginePort`."""
        return json.loads(self._engine.take_activity())

    def publish_status(self, topics: Mapping[str, str]) -> None:
        """See `EnginePort`."""
        self._engine.publish_status(topics=json.dumps(topics).encode())

    def take_questions(self, limit: int) -> Sequence[Question]:
        """See `EnginePort`."""
        return [_question(asked) for asked in self._engine.take_auth_requests(limit=limit)]

    def answer(self, answers: Sequence[Answer]) -> None:
        """See `EnginePort`."""
        self._engine.answer(verdicts=[_usable(answer) for answer in answers])

    def take_events(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """See `EnginePort`."""
        # One call for all lines: most of the cost is the call.
        return json.loads(b"[" + b",".join(self._engine.take_events(limit=limit).splitlines()) + b"]")


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
